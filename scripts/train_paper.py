"""The paper's experiment in one command: GCM, clipped GCM and the CNN by its recipe, and one table beside its numbers.

    python scripts/train_paper.py --recipe letter

letter: Table 2 as printed. found: with an L2 penalty of 2e-4 besides, which the paper does not name (our inference).
Killed, the same command goes on where it was. The table is runs/paper-<recipe>.md.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import numpy as np
from tqdm import tqdm

from helpers import gcm, paths, training
from helpers.gcm import cifar10
from helpers.gcm import training as gcm_training

PAPER = {"gcm": 90.43, "gcm-clipped": 89.91, "cnn": 90.39}  # per cent of 10,000 test pictures
PROBED = 20  # batches
RECIPES = {  # the L2 penalty, and what to say of it
    "letter": (0.0, "Table 2 to the letter"),
    "found": (gcm.L2, "Table 2 and an L2 penalty of 2e-4, our inference"),
}


def main(arguments=None):
    options = read(arguments)
    with training.told_in_one_line():
        precision = runtime.setup(seed=0, precision=options.precision)
        strategy, data = training.choose_strategy(), cifar10.load(options.data)
        if not data.is_real:
            sys.exit("error: the paper's numbers are about CIFAR-10, and there is none")
        print(f"{data.contents}; {gcm_training.how_sure(data)}\nrecipe: {RECIPES[options.recipe][1]}")
        runs = {variant: folder(variant, options) for variant in PAPER}
        print(f"this will take about {how_long(runs, data, options.epochs, strategy)} (measured on {PROBED} batches)")
        trained = {variant: train(variant, run, data, options, strategy) for variant, run in runs.items()}
    if training.is_chief(strategy):
        file = paths.RUNS / f"paper-{options.recipe}.md"
        text = table(trained, len(data.test_images), options, f"{data.contents}; {precision}")
        file.write_text(text, encoding="utf-8")
        print(f"\n{text}\n{paths.relative(file)}")


def read(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--recipe", choices=RECIPES, default="letter", help="(default: %(default)s)")
    add("--epochs", type=int, default=gcm_training.EPOCHS)
    add("--precision", default="auto", choices=["auto", *runtime.PRECISIONS])
    add("--data", help="folder of the CIFAR-10 binary files (default: CIFAR10_DIR, data/, download)")
    return parser.parse_args(arguments)


def folder(variant, options):
    return paths.RUNS / f"paper-{options.recipe}-{variant}-{options.epochs}"


def how_long(runs, data, epochs, strategy):
    """The time of all training steps that are left, by the second of two short epochs of each network, in words."""
    few, seconds = data.first(train=PROBED * gcm_training.BATCH_SIZE, test=1), 0.0
    for variant, run in runs.items():
        log = run / "log.csv"
        left = epochs - (len(log.read_text(encoding="utf-8").splitlines()) - 1 if log.exists() else 0)
        if left > 0:
            with tempfile.TemporaryDirectory() as probe:
                _, rows = gcm_training.train(probe, variant, few, 2, strategy=strategy, progress=False)
            seconds += left * rows[-1]["seconds"] * len(data.train_images) / len(few.train_images)
    return tqdm.format_interval(seconds) + " (hours:minutes:seconds)"


def train(variant, run, data, options, strategy):
    """Train, or go on; returns the number of parameters and the last row of the history."""
    print(f"\n{variant}", flush=True)
    recipe = {"epochs": options.epochs, "l2": RECIPES[options.recipe][0], "strategy": strategy}
    model, history = gcm_training.train(run, variant, data, **recipe, **training.in_terminal())
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables), history[-1]


def table(trained, pictures, options, how):
    """The Markdown table: parameters and accuracy on that many test pictures, beside the paper's."""
    said = f"{RECIPES[options.recipe][1]}, {options.epochs} epochs"
    lines = [f"# The paper's experiment: {said}", "", f"{how}, seed 0.", ""]
    lines += ["| network | parameters | test pictures right (95 % interval) | training pictures right | the paper |"]
    lines += ["|---|---|---|---|---|"]
    for variant, (parameters, last) in trained.items():
        tested = training.accuracy_text(last["validation_accuracy"], pictures)
        paper = f"{PAPER[variant]} % of 10,000"
        lines.append(f"| {variant} | {parameters:,} | {tested} | {100 * last['accuracy']:.1f} % | {paper} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
