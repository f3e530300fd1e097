"""Grad-CAM and guided backpropagation beside two other libraries: time, peak memory, and whether the maps agree.

    python benchmarks/peers.py [--batches 1 16 128] [--rounds 15] [--seconds 10]

Times are in forward passes of the same compiled network. Every library runs in a process of its own, which gives its
peak memory; in each round each of them is called once, so that a busy machine is busy for all, and the medians of the
rounds' ratios are printed. The peers are installed into build/peers-venv on first use, beside the project's TensorFlow.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import paths, runtime  # noqa: F401, I001  first: it quietens TensorFlow

import contenders
import numpy as np
import tensorflow as tf

VENV, LOG = paths.ROOT / "build" / "peers-venv", paths.ROOT / "build" / "peers.log"
PEERS = ("tf-keras-vis==0.8.7", "xplique==2.0.2")  # without what they ask for: xplique wants TensorFlow <= 2.20
NEEDED = (
    "deprecated>=1.2",
    "einops>=0.8",
    "imageio>=2.3",
    "opencv-python-headless>=4.10",
    "scikit-image>=0.25",
    "tensorflow-probability~=0.25.0",
    "tf-keras~=2.21.0",
)
FORWARD = "forward pass"
OTHER_MAP = {("MobileNetV2", "guided backpropagation", "tf-keras-vis"): "other map*"}
NOTES = """\
passes: median over the rounds of time / time of the compiled forward pass; MB: peak above the process at rest.
difference: the largest one between a library's raw maps of the smallest batch and ours, relative to ours' maximum.
xplique's Grad-CAM is up-sampled by bicubic interpolation (part of its time), so ours is too before it is compared.
ended: the library's process was gone before it answered, most likely for want of memory.
* tf-keras-vis swaps no ReLU that is a layer of its own: on MobileNetV2 its map is the plain gradient."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 128])
    parser.add_argument("--rounds", type=int, default=15, help="at most, for each line of the table")
    parser.add_argument("--seconds", type=float, default=10, help="after which a line gets no further round, but three")
    options = parser.parse_args()
    python = peers_python()
    print(versions(python), flush=True)
    libraries = list(contenders.METHODS["Grad-CAM"])
    print("\n" + header(libraries), flush=True)
    for network in contenders.NETWORKS:
        for method in contenders.METHODS:
            try:
                for row in rows(python, network, method, sorted(options.batches), options.rounds, options.seconds):
                    print(row, flush=True)
            except Ended as error:  # ours, the forward pass, or any of them before the first line
                sys.exit(str(error))
    print(f"\n{NOTES}")


def rows(python, network, method, batches, rounds, seconds):
    """The lines of the table for one network and method, one a batch, as they are measured."""
    with tempfile.TemporaryDirectory() as folder, LOG.open("a") as log:
        workers = {name: Worker(python, network, method, name, log) for name in (FORWARD, *contenders.METHODS[method])}
        differences = compare(workers, network, method, batches[0], Path(folder))
        for batch in batches:
            yield line(network, method, batch, *measure(workers, batch, rounds, seconds), differences)
        for worker in workers.values():
            worker.close()


def peers_python():
    """The Python of build/peers-venv, made on first use: the project's packages, and the peers beside them."""
    python, done = VENV / "bin" / "python", VENV / "installed"
    if not done.exists() or done.read_text() != repr((PEERS, NEEDED)):
        print(f"installing {' and '.join(PEERS)} into build/peers-venv (once) ...", flush=True)
        venv.create(VENV, with_pip=True, clear=True)
        places = [
            subprocess.check_output(
                [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
            ).strip(),
            sysconfig.get_path("purelib"),
        ]
        Path(places[0], "project.pth").write_text(places[1])
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for packages in (["--no-deps", *PEERS], NEEDED):
            with LOG.open("a") as log:
                if subprocess.run([*install, *packages], stdout=log, stderr=log, check=False).returncode:
                    sys.exit("pip failed; build/peers.log says why. Is there a network?")
        done.write_text(repr((PEERS, NEEDED)))
    return python


def versions(python):
    names = ("tensorflow", "keras", "tf-keras-vis", "xplique")
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    return subprocess.check_output([python, "-c", code], text=True).strip()


class Ended(RuntimeError):
    """A worker's process has gone."""

    def __init__(self, name):
        super().__init__(f"{name}: ended without an answer; build/peers.log says why")


class Worker:
    """A process of `worker.py`: `ask(batch)` has it explain a batch once and gives its {"seconds", "megabytes"}."""

    def __init__(self, python, network, method, library, log):
        command = [python, Path(__file__).with_name("worker.py"), network, method, library]
        self.name = f"{library}, {method}, {network}"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.size = None

    def ask(self, batch, save=None):
        """Raises Ended where the process has gone."""
        self.size = self.size or self._answer()["size"]
        try:
            print(json.dumps({"batch": batch, "save": save and str(save)}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise Ended(self.name) from None
        return self._answer()

    def _answer(self):
        text = self.process.stdout.readline()
        if not text:
            raise Ended(self.name)
        return json.loads(text)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def compare(workers, network, method, batch, folder):
    """{library: the largest difference of its maps of one batch from ours, relative to ours' maximum, as text}."""
    maps = {}
    for name in contenders.METHODS[method]:
        workers[name].ask(batch, folder / f"{name}.npy")
        maps[name] = np.load(folder / f"{name}.npy")
    differences, ours = {}, maps.pop("ours")
    for name, theirs in maps.items():
        own = ours
        if theirs.shape != own.shape:
            own = tf.image.resize(own[..., None], theirs.shape[1:3], "bicubic").numpy()[..., 0]
        largest, highest = np.abs(theirs - own).max(), np.abs(own).max()
        text = f"{largest / highest:.0e}" if highest else "zero map"  # two maps of zeros would prove nothing
        differences[name] = OTHER_MAP.get((network, method, name), text)
    return differences


def measure(workers, batch, rounds, seconds):
    """Times {name: [rounds]} and peak memory {name: MB} of every worker on one batch; one that ends is left out."""
    answers = [ask_all(workers, batch)]  # the first round traces, its time does not count
    start = time.perf_counter()
    while len(answers) <= rounds and (len(answers) <= 3 or time.perf_counter() - start < seconds):
        answers.append(ask_all(workers, batch))
    alive = set.intersection(*map(set, answers))
    return (
        {name: [row[name]["seconds"] for row in answers[1:]] for name in workers if name in alive},
        {name: max(row[name]["megabytes"] for row in answers) for name in workers if name in alive},
    )


def ask_all(workers, batch):
    """{name: answer} of those that give one."""
    answers = {}
    for name, worker in workers.items():
        try:
            answers[name] = worker.ask(batch)
        except Ended:
            if name in (FORWARD, "ours"):
                raise
    return answers


def header(libraries):
    groups = [
        ("", 43),
        ("pass", 8),
        ("passes", len(cells(libraries))),
        ("peak memory, MB", len(cells([FORWARD, *libraries]))),
        ("difference", len(cells(libraries[1:]))),
    ]
    names = [
        f"{'network':13}{'method':24}{'batch':>6}",
        f"{'ms':>8}",
        cells(libraries),
        cells([FORWARD, *libraries]),
        cells(libraries[1:]),
    ]
    return "".join(f"{title:>{width}}" for title, width in groups) + "\n" + "".join(names)


def line(network, method, batch, times, memory, differences):
    libraries, forward = list(contenders.METHODS[method]), times[FORWARD]
    passes = [
        f"{statistics.median(np.divide(times[name], forward)):.2f}" if name in times else "ended" for name in libraries
    ]
    peaks = [f"{memory[name]:.0f}" if name in memory else "ended" for name in (FORWARD, *libraries)]
    return (
        f"{network:13}{method:24}{batch:6}{1e3 * statistics.median(forward):8.0f}"
        + cells(libraries, passes)
        + cells((FORWARD, *libraries), peaks)
        + cells(differences, differences.values())
    )


def cells(libraries, texts=None):
    """Texts, or the libraries' names, each right-aligned in its library's column."""
    names = list(libraries)
    return "".join(f"{text:>{len(name) + 3}}" for name, text in zip(names, texts or names, strict=True))


if __name__ == "__main__":
    main()
