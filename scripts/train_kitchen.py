"""Train a network of notebook 10 on the built-in kitchen.

    python scripts/train_kitchen.py kitchen_gcm --ship

Killed runs go on where they were: runs/ keeps everything that is needed. --ship measures it and writes it to weights/.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras

from helpers import dishes, kitchen_networks, paths, training


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=kitchen_networks.NETWORKS)
    parser.add_argument("--epochs", type=int, default=kitchen_networks.EPOCHS)
    parser.add_argument("--precision", default="auto", choices=["auto", *runtime.PRECISIONS])
    parser.add_argument("--ship", action="store_true", help="also measure it and write it to weights/")
    options = parser.parse_args()
    runtime.setup(seed=0, precision=options.precision)
    data = dishes.make_split()
    network = kitchen_networks.train(paths.RUNS / options.network, options.network, data, options.epochs,
                                     progress=sys.stderr.isatty(), on_epoch=print_row)
    if options.ship:
        keras.config.set_dtype_policy("float32")  # as notebooks load it
        shipped = kitchen_networks.build(options.network)
        shipped.set_weights(network.get_weights())
        print(kitchen_networks.ship(shipped, options.network, data, options.epochs))


def print_row(row):
    print(training.summary(row), flush=True)


if __name__ == "__main__":
    main()
