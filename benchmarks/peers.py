"""The CAM family and others beside two other libraries: time, peak memory, and whether the maps agree.

    python benchmarks/peers.py [--methods Grad-CAM LayerCAM] [--batches 1 16 128] [--rounds 15] [--seconds 10]

Times are in forward passes of the same compiled network. Every library runs in a process of its own, which gives its
peak memory; in each round each of them is called once, so that a busy machine is busy for all, and the medians of the
rounds' ratios are printed. The peers are installed into build/peers on first use, beside the project's TensorFlow.
"""

import argparse
import importlib.metadata
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import paths, runtime  # noqa: I001  first: it quietens TensorFlow

import contenders
import measuring
import numpy as np
import tensorflow as tf

FOLDER, LOG = paths.ROOT / "build" / "peers", paths.ROOT / "build" / "peers.log"
PEERS = ("tf-keras-vis==0.8.7", "xplique==2.0.2")  # without what they ask for: xplique wants TensorFlow <= 2.20
NEEDED = ("deprecated>=1.2", "einops>=0.8", "imageio>=2.3", "opencv-python-headless>=4.10", "tf-keras~=2.21.0")
NEEDED += ("scikit-image>=0.25", "lazy-loader>=0.4", "networkx>=3", "tifffile>=2022.8")
NEEDED += ("tensorflow-probability~=0.25.0", "cloudpickle>=1.3", "decorator>=5", "dm-tree>=0.1.8")
SPAWN = multiprocessing.get_context("spawn")
FORWARD = "forward pass"
LIBRARIES = tuple(contenders.METHODS["Grad-CAM"])
NOTES = """\
passes: median over the rounds of time / time of the compiled forward pass; MB: peak above the process at rest.
difference: the largest one between a library's raw maps of the smallest batch and ours, relative to ours' maximum.
xplique's Grad-CAM is up-sampled by bicubic interpolation (part of its time), so ours is too before it is compared.
ended: the library's process was gone before it answered, most likely for want of memory. -: the library has it not.
Definitions that differ from the papers': tf-keras-vis swaps no ReLU that is a layer of its own, so on MobileNetV2 its
guided map is the plain gradient. In Grad-CAM++ it scales each channel's alphas to sum to one, and its Score-CAM weighs
with probabilities instead of a softmax over the channels. xplique's Grad-CAM++ takes the feature map's mean for its
sum. Its Integrated Gradients takes the trapezoidal rule, ours the midpoint rule."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", choices=contenders.METHODS, nargs="+", default=list(contenders.METHODS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 128])
    parser.add_argument("--rounds", type=int, default=15, help="at most, for each line of the table")
    parser.add_argument(
        "--seconds", type=float, default=10, help="to stop a line after so long, but not before three rounds"
    )
    options = parser.parse_args()
    install()
    names = ("tensorflow", "keras", "tf-keras-vis", "xplique")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
    units = ("forward pass: ms / MB", "ours: passes / MB", *(f"{name}: … / difference" for name in LIBRARIES[1:]))
    print(f"\n{line('network', 'method', 'pictures', units)}", flush=True)
    for network, method in itertools.product(contenders.NETWORKS, options.methods):
        if (network, method) == contenders.LEFT_OUT:
            continue
        batches = sorted(batch for batch in options.batches if batch <= contenders.AT_MOST.get(method, batch))
        if not batches:
            continue
        libraries = tuple(contenders.METHODS[method])
        workers = {name: start(network, method, name) for name in (FORWARD, *libraries)}
        differences = compare(workers, libraries, batches[0])
        for batch in batches:
            measured = measure(workers, batch, options.rounds, options.seconds)
            print(line(network, method, batch, cells(measured, libraries, differences)), flush=True)
        for worker in workers.values():
            worker.close()
        for process in SPAWN.active_children():
            process.join()
    print(f"\n{NOTES}")


def install():
    """Put the peers, and of what they need all that the project has not, into build/peers, for the workers to find."""
    done = FOLDER / "installed"
    if not done.exists() or done.read_text() != repr((PEERS, NEEDED)):
        print(f"installing {' and '.join(PEERS)} into build/peers (once) ...", flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", FOLDER]
        with LOG.open("a") as log:
            if subprocess.run([*pip, *PEERS, *NEEDED], stdout=log, stderr=log, check=False).returncode:
                sys.exit("pip failed; build/peers.log says why. Is there a network?")
        done.write_text(repr((PEERS, NEEDED)))
    sys.path.append(str(FOLDER))


def start(network, method, library):
    """The end of a pipe to a process that explains pictures by one library: `ask` it."""
    ours, theirs = SPAWN.Pipe()
    SPAWN.Process(target=work, args=(theirs, network, method, library), daemon=True).start()
    theirs.close()
    return ours


def work(pipe, network, method, library):
    """Answer each (number of pictures, are maps wanted?) by the time of one call in seconds, the process's peak memory
    so far in MB above what it had before the first call, and the maps or None."""
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):  # whatever the libraries print
        os.dup2(log, stream)
    runtime.setup(seed=0, precision="float32")
    build, size = contenders.NETWORKS[network]
    subject, methods = build(), contenders.METHODS[method]
    function = contenders.forward_pass(subject.network) if library == FORWARD else methods[library](subject)
    before = measuring.megabytes("VmRSS")
    while True:
        try:
            batch, maps_wanted = pipe.recv()
        except EOFError:
            return
        images, begin = contenders.pictures(batch, size), time.perf_counter()
        maps = function(images)
        seconds = time.perf_counter() - begin
        pipe.send((seconds, measuring.megabytes("VmHWM") - before, maps if maps_wanted else None))


def ask(worker, batch, maps_wanted=False):
    """A worker's answer; None where its process has gone."""
    try:
        worker.send((batch, maps_wanted))
        return worker.recv()
    except (EOFError, OSError):
        return None


def insist(answers, names):
    """End the benchmark where one of them, which it cannot do without, gave no answer."""
    if missing := [name for name in names if not answers.get(name)]:
        sys.exit(f"{missing[0]}: ended without an answer; build/peers.log says why")


def compare(workers, libraries, batch):
    """{library: the largest difference of its maps of one batch from ours, relative to ours' maximum, as text}."""
    answers = {name: ask(workers[name], batch, maps_wanted=True) for name in libraries}
    insist(answers, libraries)
    differences = {}
    for name in libraries[1:]:
        ours, theirs = answers["ours"][2], answers[name][2]
        theirs = theirs[..., 0] if theirs.ndim == ours.ndim + 1 else theirs
        if theirs.shape != ours.shape:
            ours = tf.image.resize(ours[..., None], theirs.shape[1:3], "bicubic").numpy()[..., 0]
        largest, highest = np.abs(theirs - ours).max(), np.abs(ours).max()
        # two maps of zeros would prove nothing
        differences[name] = f"{largest / highest:.0e}" if highest else "zero map"
    return differences


def measure(workers, batch, rounds, seconds):
    """{name: (times [rounds], peak memory in MB)} of every worker on one batch; one that ends is left out."""

    def ask_all():
        answers = {name: ask(worker, batch) for name, worker in workers.items()}
        insist(answers, (FORWARD, "ours"))
        return answers

    answers = [ask_all()]  # this round traces, its time does not count
    end = time.perf_counter() + seconds
    while len(answers) <= rounds and (len(answers) <= 3 or time.perf_counter() < end):
        answers.append(ask_all())
    alive = [name for name in workers if all(row[name] for row in answers)]
    return {name: ([row[name][0] for row in answers[1:]], max(row[name][1] for row in answers)) for name in alive}


def cells(measured, libraries, differences):
    """The texts of a line of the table: the forward pass, then each library."""
    base, peak = measured[FORWARD]
    texts = [f"{1e3 * statistics.median(base):.0f} / {peak:.0f}"]
    for name in LIBRARIES:
        times, peak = measured.get(name, (None, None))
        gone = ["ended" if name in libraries else "-"]
        parts = [f"{measuring.ratio(times, base):.2f}", f"{peak:.0f}"] if times else gone
        texts.append(" / ".join([*parts, *([differences[name]] if name in differences else [])]))
    return texts


def line(network, method, batch, texts):
    return f"{network:13}{method:24}{batch:>8}" + "".join(f"{text:>30}" for text in texts)


if __name__ == "__main__":
    main()
