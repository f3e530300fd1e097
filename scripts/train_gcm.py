"""Train GCM, its variants or the comparison CNN on CIFAR-10 by the paper's schedule, or a shorter one.

    python scripts/train_gcm.py --variant gcm --epochs 180

Killed runs go on where they were. Everything is kept in runs/<name>/.
All GPUs of the machine are used; TF_CONFIG on each of several machines makes them one (runs/ on a shared disk).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras

from helpers import gcm, paths, training
from helpers.gcm import cifar10
from helpers.gcm import training as gcm_training

RECIPE = ("variant", "epochs", "seed", "batch_size", "l2", "jpeg", "hold_out")  # what makes a network what it is


def main(arguments=None):
    options = read(arguments)
    penalty, jpeg = f"-l2-{options.l2}" if options.l2 else "", "-jpeg" if options.jpeg else ""
    run = paths.RUNS / (options.name or f"{options.variant}-{options.epochs}{penalty}-seed{options.seed}{jpeg}")
    recipe = {"epochs": options.epochs, "seed": options.seed, "batch_size": options.batch_size, "l2": options.l2}
    with training.told_in_one_line():
        runtime.setup(seed=options.seed, precision=options.precision)
        recipe["strategy"], data = training.choose_strategy(), load(options)
        _, history = gcm_training.train(run, options.variant, data, **recipe, **training.in_terminal())
        if options.ship and training.is_chief(recipe["strategy"]):
            keras.config.set_dtype_policy("float32")  # as notebooks load it
            print(gcm_training.ship(run, data, options.ship))
    tested = training.accuracy_text(history[-1]["validation_accuracy"], len(data.test_images))
    print(f"last epoch: {tested} {'held-out' if options.hold_out else 'test'} pictures right (95 % interval)")
    print(f"everything is in {paths.relative(run)}")


def read(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, size = parser.add_argument, gcm_training.BATCH_SIZE
    add("--variant", choices=gcm.VARIANTS, default="gcm")
    add("--epochs", type=int, default=gcm_training.EPOCHS)
    add("--name", help="the run's name (default: <variant>-<epochs>[-l2-<l2>]-seed<seed>[-jpeg])")
    add("--seed", type=int, default=0, help="of the first weights, the order and the crops")
    add("--batch-size", type=int, default=size, help="the global batch, however many devices (default: %(default)s)")
    add("--l2", type=float, default=0.0, help="L2 penalty on the weights; the paper names none (default: %(default)s)")
    add("--precision", default="auto", choices=["auto", *runtime.PRECISIONS])
    add("--data", help="folder of the CIFAR-10 binary files (default: CIFAR10_DIR, data/, download)")
    add("--train-images", type=int, default=50_000, help="use only the first of them")
    add("--jpeg", action="store_true", help="learn from and test on JPEG copies of the pictures")
    add("--hold-out", type=int, metavar="N", default=0, help="test on the last N training pictures: to choose a recipe")
    add("--ship", metavar="NAME", choices=gcm.SHIPPED, help="also write weights/<NAME>.*: %(choices)s")
    return parser.parse_args(arguments)


def load(options):
    if options.ship:
        recipe = gcm.SHIPPED[options.ship].options
        asked, wanted = vars(options), vars(read(recipe.split()))
        if any(asked[name] != wanted[name] for name in RECIPE):
            raise ValueError(f"--ship {options.ship}: that is for {recipe} alone")
    data = cifar10.load(options.data)
    if options.ship and not (data.are_originals and options.train_images >= 50_000):
        pictures = "the 50,000 original training pictures of CIFAR-10, in their official order"
        raise ValueError(f"--ship {options.ship}: that is for {pictures}")
    if options.hold_out:
        data = data.held_out(options.hold_out)
    data = data.first(train=options.train_images)
    if options.jpeg:
        data = data.compressed()
    print(f"{data.contents}; {gcm_training.how_sure(data)}")
    return data


if __name__ == "__main__":
    main()
