"""A small training for test_training.py, in a process of its own where that is needed: devices, workers and kills."""

import ctypes
import json
import os
import time
import traceback

import keras
import numpy as np
import tensorflow as tf

from helpers import gcm, training
from helpers.gcm import cifar10
from helpers.gcm.conv_block import ConvBlock

PICTURES, BATCH = 103, 32  # the last batch is odd: two replicas get different shares of it


def small_network(dropout=0.0, seed=3):
    keras.utils.set_random_seed(seed)
    row = [ConvBlock(4, 2), ConvBlock(6, 2), keras.layers.Dropout(dropout), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((32, 32, 3)), *row, keras.layers.Dense(10)])


def train(run, epochs, strategy=None, dropout=0.0, pause=0.0, variant=None, batch=BATCH, **options):
    """Train the small network, or that of `gcm.VARIANTS`, as several devices do, too; pause: seconds between epochs."""
    strategy, data = strategy or tf.distribute.get_strategy(), cifar10.drawn(train=11, test=5).first(PICTURES)
    with strategy.scope():
        keras.utils.set_random_seed(3)
        model = gcm.untrained(variant) if variant else small_network(dropout)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)

    def on_epoch(row):
        print(f"epoch {row['epoch']}", flush=True)
        time.sleep(pause)

    options |= {"from_logits": True, "recipe": {"net": "small"}, "progress": False, "on_epoch": on_epoch, "l2": 0.01}
    options |= {"validation": cifar10.test_batches(*data[2:4]), "learning_rate": training.paper_schedule(6, base=0.05)}
    batches = cifar10.training_batches(*data[:2], batch)
    return model, optimizer, training.fit(model, optimizer, run, batches, epochs, strategy=strategy, **options)


def history_of(run):
    """The history that the run folder keeps, [] where nothing was trained."""
    if not (run / "state.npz").exists():
        return []
    with np.load(run / "state.npz") as stored:
        return json.loads(str(stored["about"]))["history"]


def main(run, epochs, devices=1, **options):
    """`train` on several devices of this machine, or as the worker that TF_CONFIG names; prints a line of JSON."""
    strategy, devices = training.choose_strategy(), range(devices)
    if len(devices) > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration() for _ in devices])
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in devices])
    model, _, history = train(run, epochs, strategy, **options)
    checksum = float(sum(np.abs(np.asarray(variable, np.float64)).sum() for variable in model.variables))
    print(json.dumps({"replicas": strategy.num_replicas_in_sync, "history": history, "checksum": checksum}), flush=True)


def whole_process(output, config, *arguments, **options):
    """`main` as a whole process that prints into the file `output`; config: its TF_CONFIG."""
    os.environ["TF_CONFIG"], failed = config, 0
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        main(*arguments, **options)
    except Exception:
        failed = traceback.print_exc() or 1
    ctypes.pythonapi.Py_Exit(failed)  # takes Python down as in any process; `multiprocessing` would leave that out
