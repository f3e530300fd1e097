"""Training GCM, its variants and the comparison CNN by the paper's recipe (Table 2), or a shortened one."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers import gcm, paths, training
from helpers.gcm import cifar10
from helpers.training import runs, shipped

EPOCHS, BATCH_SIZE = 180, 128  # Table 2


def train(run, variant, data, epochs=EPOCHS, seed=0, batch_size=BATCH_SIZE, strategy=None, l2=0.0, **options):
    """Train a network of `gcm.VARIANTS` on `data.train_*` in the folder `run`; returns (model, history).

    data: a `cifar10.Cifar10`; after each epoch the network is measured on `data.test_*`, and nothing is chosen by it.
    The precision is Keras' global dtype policy; strategy and the options progress and on_epoch are those of
    `training.fit`, and so are its errors and how it resumes. At the end run/last.weights.h5 and
    run/metrics.json are written.
    l2: ours, not in the paper: an L2 penalty on every trainable weight.
    Source: section 4.1. He normal initial weights are ours (the paper names none).
    """
    strategy, precision = strategy or tf.distribute.get_strategy(), keras.config.dtype_policy().name
    _check(data, batch_size, strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(seed)
    with strategy.scope():
        model = fast_twin(variant)
        optimizer = training.scaled(keras.optimizers.SGD(0.1, momentum=0.9))
    recipe = {"variant": variant, "epochs": epochs, "seed": seed, "batch_size": batch_size, "precision": precision}
    recipe |= {"data": data.source, "train_images": len(data.train_images), "pictures": runs.digest(*data[:4])}
    recipe |= {"l2": l2} if l2 else {}
    batches = cifar10.training_batches(data.train_images, data.train_labels, batch_size, seed)
    options |= {"validation": cifar10.test_batches(data.test_images, data.test_labels), "strategy": strategy, "l2": l2}
    options |= {"learning_rate": training.paper_schedule(epochs), "from_logits": variant != "cnn", "recipe": recipe}
    history = training.fit(model, optimizer, run, batches, epochs, **options)
    model = copy_weights(model, gcm.untrained(variant))
    if training.is_chief(strategy):
        shipped.save_weights(model, Path(run) / "last.weights.h5")
        seconds = round(sum(row["seconds"] for row in history), 1)
        result = {**recipe, **_tested(history[-1]["validation_accuracy"], data), "seconds": seconds}
        paths.write_json(result, Path(run) / "metrics.json")
    return model, history


def _tested(accuracy, data):
    """What metrics.json says of a test: the accuracy, on how many pictures, and its 95 % interval."""
    pictures = len(data.test_images)
    interval = [round(end, 4) for end in training.accuracy_interval(accuracy, pictures)]
    return {"test_accuracy": accuracy, "test_images": pictures, "test_interval": interval}


def how_sure(data):
    """A sentence for the start of a training: what each epoch's accuracy on the test pictures is worth."""
    low, high = training.accuracy_interval(0.9, len(data.test_images))
    return f"at 90 % a validation accuracy has a 95 % interval of {100 * low:.1f} to {100 * high:.1f} %"


def _check(data, batch_size, devices):
    """Raise ValueError for pictures that cannot be cut into batches."""
    pictures, tested = len(data.train_images), len(data.test_images)
    if min(batch_size, pictures, tested) < 1:
        counts = f"batch_size {batch_size}, {pictures} training and {tested} test pictures"
        raise ValueError(f"{counts}: expected at least 1 of each")
    if 0 < (left := pictures % batch_size) < devices:
        last = f"the last batch has {left} of {pictures} pictures, fewer than there are devices ({devices})"
        raise ValueError(f"{last}: choose another batch_size")


def fast_twin(variant):
    """An untrained network that trains as `gcm.untrained(variant)` does, in half the time where that can be had.

    The CNN's 18, 37 and 74 channels suit no processor. Its twin has 24, 40 and 80, in bfloat16 32, 48 and 80, the
    surplus ones all zero. They stay zero: a channel of zeros comes out of the normalisation as zero, where the ReLU
    passes no gradient.
    """
    model = gcm.untrained(variant)
    return copy_weights(model, gcm.comparison_cnn(10, widths=twin_widths())) if variant == "cnn" else model


def twin_widths():
    """The channels of the twin's layers 1 to 10 in Keras' global precision."""
    fitting = 16 if keras.config.dtype_policy().compute_dtype == "bfloat16" else 8  # channels that are computed at once
    return [-(-width // fitting) * fitting for width in gcm.CNN_WIDTHS]


def copy_weights(source, target):
    """Give `target` the weights of `source`, layer by layer; what only one of them has is zero or left out."""
    for theirs, ours in zip(source.variables, target.variables, strict=True):
        common = tuple(slice(min(sizes)) for sizes in zip(theirs.shape, ours.shape, strict=True))
        values = np.zeros(ours.shape, ours.dtype)
        values[common] = np.asarray(theirs)[common]
        ours.assign(values)
    return target


def ship(run, data, name):
    """Copy a finished run to weights/: <name>.weights.h5, <name>.json (recipe, accuracy, sha256), logs/<run>.csv.

    name: as `gcm.load_trained` will ask for it. The accuracy is measured anew on `data.test_*` in Keras' global
    precision, which need not be the training's. Returns the json's dict. Raises FileNotFoundError where the run has
    not ended.
    """
    run = Path(run)
    if not (run / "metrics.json").exists():
        raise FileNotFoundError(f"{run.name} has not ended: there is no metrics.json in it; start it again to go on")
    about = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    model = gcm.untrained(about["variant"])
    model.load_weights(run / "last.weights.h5")
    about["log"] = f"logs/{run.name}.csv"
    (paths.WEIGHTS / "logs").mkdir(exist_ok=True)
    shutil.copyfile(run / "log.csv", paths.WEIGHTS / about["log"])
    batches = cifar10.test_batches(data.test_images, data.test_labels)
    tested = training.evaluate(model, batches, from_logits=about["variant"] != "cnn")
    return shipped.ship(model, name, about | _tested(tested["accuracy"], data))
