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


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=gcm.VARIANTS, default="gcm")
    parser.add_argument("--epochs", type=int, default=gcm_training.EPOCHS)
    parser.add_argument("--name", help="the run's name (default: <variant>-<epochs>-seed<seed>)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, the order and the crops")
    parser.add_argument(
        "--batch-size",
        type=int,
        default=gcm_training.BATCH_SIZE,
        help="the global batch, however many devices (default: %(default)s)",
    )
    parser.add_argument("--weight-decay", type=float, default=0.0, help="the paper names none (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=["auto", *runtime.PRECISIONS])
    parser.add_argument("--data", help="folder of the CIFAR-10 binary files (default: CIFAR10_DIR, data/, download)")
    parser.add_argument("--train-images", type=int, default=50_000, help="use only the first of them")
    parser.add_argument("--ship", metavar="NAME", choices=gcm.SHIPPED, help="also write weights/<NAME>.*: %(choices)s")
    options = parser.parse_args(arguments)

    run = paths.RUNS / (options.name or f"{options.variant}-{options.epochs}-seed{options.seed}")
    try:
        runtime.setup(seed=options.seed, precision=options.precision)
        strategy, data = training.choose_strategy("auto"), load(options)
        _, history = gcm_training.train(
            run,
            options.variant,
            data,
            options.epochs,
            options.seed,
            options.batch_size,
            strategy,
            progress=sys.stderr.isatty(),
            on_epoch=print_row,
            weight_decay=options.weight_decay,
        )
        if options.ship and training.is_chief(strategy):
            keras.config.set_dtype_policy("float32")  # as notebooks load it
            print(gcm_training.ship(run, data, options.ship))
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command goes on after the last whole epoch.")
    except (OSError, ValueError, FloatingPointError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(
        f"last epoch: {history[-1]['validation_accuracy']:.2%} of the test pictures; "
        f"everything is in {paths.relative(run)}"
    )


def load(options):
    asked = (options.variant, options.epochs, options.seed, options.batch_size, options.weight_decay)
    if options.ship and asked != (*gcm.SHIPPED[options.ship], 0, gcm_training.BATCH_SIZE, 0):
        variant, epochs = gcm.SHIPPED[options.ship]
        raise ValueError(
            f"--ship {options.ship}: that is for --variant {variant} --epochs {epochs}, without --seed, "
            "--batch-size and --weight-decay"
        )
    data = cifar10.load(options.data)
    print(data.source)
    whole = data.is_real and (len(data.train_images), len(data.test_images)) == (50_000, 10_000)
    if options.ship and not (whole and options.train_images >= 50_000):
        raise ValueError("--ship: only a network trained on all of CIFAR-10 belongs into weights/; leave --ship out")
    return data.first(train=options.train_images)


def print_row(row):
    print(training.summary(row), flush=True)


if __name__ == "__main__":
    main()
