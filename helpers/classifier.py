"""The blog's classifier (section 4.2): its layers, training that survives being killed, and what it gets right."""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from helpers import dishes, paths, photos, training
from helpers.photos import splits
from helpers.training import batches, runs, shipped

BATCH_SIZE, EPOCHS = 15, 300  # blog, section 4.2
LEARNING_RATE = 1e-4  # Adam; ours: the blog names no optimiser
SHIPPED = "kitchen_cnn"


def build_cnn(num_classes=2, size=160, dtype=None):
    """The blog's network (section 4.2), untrained: pixels [B, size, size, 3] in [0, 1] to class probabilities.

    2,914,562 parameters for two classes at 160x160. dtype: a Keras dtype policy, None for the global one; the last
    layer and the softmax compute in float32 whatever it is. Raises ValueError for pictures too small for the poolings.
    """
    if size < 24:
        raise ValueError(f"size {size}: three poolings leave nothing of it; at least 24 is needed")
    return keras.Sequential(
        [
            keras.Input((size, size, 3), name="picture"),
            layers.Conv2D(64, (3, 3), name="conv1", dtype=dtype),
            layers.Activation("relu", name="relu1", dtype=dtype),
            layers.Conv2D(64, (3, 3), name="conv2", dtype=dtype),
            layers.Activation("relu", name="relu2", dtype=dtype),
            layers.MaxPooling2D((2, 2), name="pool2", dtype=dtype),
            layers.Conv2D(128, (3, 3), name="conv3", dtype=dtype),
            layers.Activation("relu", name="relu3", dtype=dtype),
            layers.MaxPooling2D((2, 2), name="pool3", dtype=dtype),
            layers.Conv2D(128, (3, 3), name="conv4", dtype=dtype),
            layers.Activation("relu", name="relu4", dtype=dtype),
            layers.MaxPooling2D((2, 2), name="pool4", dtype=dtype),
            layers.Flatten(name="flatten", dtype=dtype),
            layers.Dense(64, name="dense", dtype=dtype),
            layers.Activation("relu", name="relu_dense", dtype=dtype),
            layers.Dropout(0.5, name="dropout", dtype=dtype),
            layers.Dense(num_classes, kernel_initializer="random_uniform", name="logits", dtype="float32"),
            layers.Activation("softmax", name="softmax", dtype="float32"),
        ],
        name="blog_cnn",
    )


class Data(NamedTuple):
    """Pictures to train and measure on; each split is (images uint8 [N, size, size, 3], labels int [N])."""

    train: tuple
    validation: tuple
    test: tuple
    class_names: tuple
    source: str


def train(run, data, epochs=EPOCHS, seed=0, progress=True, on_epoch=None):
    """Train the blog's network on `data` in the folder runs/<run>; returns (model with the best weights, metrics).

    The precision is Keras' global dtype policy; progress and on_epoch are those of `training.fit`. Killed at any
    moment, the same call goes on after the last whole epoch; with more epochs it trains further. Best is the first
    epoch with the highest validation accuracy. The metrics, measured on the test pictures with that epoch's weights
    in float32, go to runs/<run>/metrics.json at the end. Raises ValueError where the folder holds another training,
    and for no epochs.
    """
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed; the blog's are {EPOCHS}")
    run, (images, labels) = run_folder(run), data.train
    num_classes, size, images = len(data.class_names), images.shape[1], tf.constant(images)
    keras.utils.set_random_seed(seed)
    model, precision = build_cnn(num_classes, size), keras.config.dtype_policy().name
    recipe = {
        "network": "blog_cnn",
        "optimizer": f"Adam {LEARNING_RATE}",
        "batch_size": BATCH_SIZE,
        "seed": seed,
        "precision": precision,
        "class_names": list(data.class_names),
        "data": runs.digest(*data.train, *data.validation),
    }
    validation = batches.pictures(*data.validation, BATCH_SIZE)
    history = training.fit(
        model,
        training.scaled(keras.optimizers.Adam(LEARNING_RATE)),
        run,
        lambda epoch: batches.pictures(images, labels, BATCH_SIZE, seed, epoch),
        epochs,
        validation=validation,
        keep_best=True,
        from_logits=False,
        recipe=recipe,
        progress=progress,
        on_epoch=on_epoch,
    )
    best = build_cnn(num_classes, size, dtype="float32")
    best.load_weights(run / "best.weights.h5")
    metrics = {
        "class_names": list(data.class_names),
        **measure(best, *data.test),
        "epochs": len(history),
        "last_epoch_accuracy": measure(model, *data.test)["accuracy"],
        "best_epoch": 1 + int(np.argmax([row["validation_accuracy"] for row in history])),
        "seed": seed,
        "seconds": round(sum(row["seconds"] for row in history), 1),
        "source": data.source,
        "pictures": [len(split[1]) for split in data[:3]],
        "size": size,
        "precision": precision,
        "optimizer": recipe["optimizer"],
        "batch_size": BATCH_SIZE,
        "data": recipe["data"],
        "sha256": paths.checksum(run / "best.weights.h5"),
        "history": _columns(history),
    }
    paths.write_json(metrics, run / "metrics.json")
    return best, metrics


def check_data(metrics, data):
    """Raise ValueError where `data` are other pictures than the training of these `metrics` saw.

    The test pictures of another split may be among those that the network was trained on.
    """
    if metrics["data"] != runs.digest(*data.train, *data.validation):
        raise ValueError(
            f"these weights saw other pictures (seed {metrics['seed']}, {metrics['pictures']}): set "
            "COUNTS as they were, or, where photos were added or weeded out, train under another name"
        )


def _columns(history):
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    return {name: [round(float(row[name]), 5) for row in history] for name in names}


def run_folder(run):
    """The folder of a run named "x" or "runs/x"; an absolute path is taken as it is. Raises ValueError for no name."""
    folder = paths.ROOT / run if Path(run).parts[:1] == (paths.RUNS.name,) else paths.RUNS / run
    if folder == paths.RUNS:
        raise ValueError(f'run {str(run)!r}: a name is wanted, "x" or "runs/x" (--name)')
    return folder


def load_trained(name=SHIPPED):
    """The trained network of that name, in float32, and its metrics: (model, dict).

    name: "kitchen_cnn" or another of weights/*.weights.h5, or "runs/<name>" for one of your own.
    Raises FileNotFoundError where there is none, or where its training has not ended; OSError where one of weights/ is
    damaged.
    """
    weights, about = shipped.weights_file(name), paths.WEIGHTS / f"{name}.json"
    if not weights.exists():
        weights, about = run_folder(name) / "best.weights.h5", run_folder(name) / "metrics.json"
    if not (weights.exists() and about.exists()):
        raise FileNotFoundError(
            f"no finished training {name!r}: neither {paths.relative(weights)} with "
            f"{about.name} nor one in weights/; train it with `make train` and name it runs/<name>"
        )
    metrics = json.loads(about.read_text(encoding="utf-8"))
    model = build_cnn(len(metrics["class_names"]), metrics["size"], dtype="float32")
    if weights == shipped.weights_file(name):
        return shipped.restore(model, name, "make train"), metrics
    if metrics.get("sha256") != paths.checksum(weights):
        raise FileNotFoundError(
            f"{weights.parent.name} was trained on since its {about.name} was written, and has not "
            "ended: give the same command again"
        )
    model.load_weights(weights)
    return model, metrics


def ship(run, test, name=SHIPPED):
    """Write a finished run's best weights as float16 to weights/<name>.weights.h5, its metrics beside; returns these.

    The accuracy and confusion matrix are measured anew on `test` = (images, labels), with the rounded weights.
    """
    model, metrics = load_trained(str(run_folder(run)))
    half = build_cnn(len(metrics["class_names"]), metrics["size"], dtype="float16")
    half.set_weights(model.get_weights())
    model.set_weights(half.get_weights())
    return shipped.ship(half, name, {**metrics, **measure(model, *test), "weights": "float16"})


def predict(model, images):
    """Class probabilities float32 [N, classes] of pictures [N, H, W, 3], uint8 or float in [0, 1]."""

    def probabilities(batch):  # not model.predict: it warns when several models are asked in turn
        return model(batch.astype(np.float32) / 255 if batch.dtype == np.uint8 else batch, training=False)

    return batches.predict_all(probabilities, np.asarray(images)).astype(np.float32)


def measure(model, images, labels):
    """Accuracy and confusion matrix of `model` on pictures and labels, as plain values."""
    predicted = predict(model, images).argmax(-1)
    return {
        "accuracy": float(np.mean(predicted == labels)),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=range(model.output_shape[-1])).tolist(),
    }


def colour_features(images):
    """Mean colour and a 4x4x4 colour histogram of pictures uint8 [N, H, W, 3]: float [N, 67], all in [0, 1]."""
    pixels = np.asarray(images).reshape(len(images), -1, 3)
    cells = (pixels // 64).astype(int) @ [16, 4, 1]
    histograms = np.stack([np.bincount(row, minlength=64) for row in cells]) / pixels.shape[1]
    return np.concatenate([pixels.mean(1) / 255, histograms], axis=1)


def colour_baseline(images, labels):
    """A logistic regression on colour alone, fitted: what a network must beat to have learned shape or texture.

    images: uint8 [N, H, W, 3]; the result's `predict(images)` and `score(images, labels)` take the same.
    """
    return make_pipeline(FunctionTransformer(colour_features), StandardScaler(), LogisticRegression(max_iter=5000)).fit(
        images, labels
    )


def photo_data(folder, counts=photos.COUNTS, seed=0):
    """A folder of photos as `Data`, and all that `photos.load` found in it: (Data, Photos).

    folder: with one sub-folder a class; a relative one may start from the project's folder, too.
    """
    loaded = photos.load(paths.given(folder), counts, seed)
    three = [(split.images, split.labels) for split in (loaded.train, loaded.validation, loaded.test)]
    return Data(*three, loaded.class_names, f"photos ({Path(folder).name})"), loaded


def kitchen_data(counts=photos.COUNTS, seed=0, griddle_rate=None):
    """Dishes of the built-in kitchen as `Data`; counts: (train, validation, test) a class, griddle_rate as there."""
    splits.check_counts(counts)
    made = dishes.make_split(dict(zip(splits.NAMES, counts, strict=True)), seed, griddle_rate)
    return Data(*((made[name].images, made[name].labels) for name in splits.NAMES), dishes.LABELS, "built-in kitchen")
