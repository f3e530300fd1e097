"""A small training for test_training.py, in a process of its own: devices, workers and kills need one.

    python tests/small_training.py RUN EPOCHS [--devices 2] [--slow SECONDS] [--dropout SHARE] [--gcm]

TF_CONFIG makes it a worker. Prints the history as one JSON line.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: F401  isort: skip

import keras
import numpy as np
import tensorflow as tf

from helpers import gcm, training
from helpers.gcm import cifar10
from helpers.gcm.conv_block import ConvBlock

PICTURES, BATCH = 103, 32  # the last batch is odd: two replicas get different shares of it


def small_network(dropout=0.0, seed=3):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            ConvBlock(4, 2),
            ConvBlock(6, 2),
            keras.layers.Dropout(dropout),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


def gcm_network(dropout=0.0):
    keras.utils.set_random_seed(3)
    return gcm.untrained("gcm")


def train(run, epochs, strategy=None, dropout=0.0, pause=0.0, network=small_network, **options):
    strategy = strategy or tf.distribute.get_strategy()
    data = cifar10.drawn(train=11, test=5)
    pictures, labels = data.train_images[:PICTURES], data.train_labels[:PICTURES]
    with strategy.scope():
        model = network(dropout)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    history = training.fit(
        model,
        optimizer,
        run,
        cifar10.training_batches(pictures, labels, BATCH),
        epochs,
        from_logits=True,
        recipe={"net": "small"},
        strategy=strategy,
        validation=cifar10.test_batches(data.test_images, data.test_labels),
        learning_rate=training.paper_schedule(6, base=0.05),
        progress=False,
        on_epoch=lambda row: (print(f"epoch {row['epoch']}", flush=True), time.sleep(pause)),
        **options,
    )
    return model, optimizer, history


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--gcm", action="store_true", help="GCM in place of the small network")
    arguments = parser.parse_args()
    if arguments.devices == 1:
        strategy = training.choose_strategy("auto")
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * arguments.devices)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(arguments.devices)])
    model, _, history = train(
        arguments.run,
        arguments.epochs,
        strategy,
        arguments.dropout,
        arguments.slow,
        gcm_network if arguments.gcm else small_network,
    )
    checksum = float(sum(np.abs(np.asarray(variable, np.float64)).sum() for variable in model.variables))
    print(json.dumps({"replicas": strategy.num_replicas_in_sync, "history": history, "checksum": checksum}))


if __name__ == "__main__":
    main()


def history_of(run):
    """The history that the run folder keeps, [] where nothing was trained."""
    if not (run / "state.npz").exists():
        return []
    with np.load(run / "state.npz") as stored:
        return json.loads(str(stored["about"]))["history"]
