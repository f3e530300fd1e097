"""The blog's classifier (section 4.2) and today's: layers, training that survives being killed, what they get right."""

from functools import partial
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
from helpers.imagenet import transfer
from helpers.photos import splits
from helpers.training import batches, runs, shipped

BLOG, IMAGENET = "blog", "imagenet"
BATCH_SIZE, EPOCHS = 15, 300  # blog, section 4.2
LEARNING_RATE = 1e-4  # Adam; ours: the blog names no optimiser
SHIPPED = "kitchen_cnn"


class Recipe(NamedTuple):
    """What training does unless told otherwise; size: pixels a side to which photographs are reduced."""

    epochs: int
    learning_rate: float
    size: int


RECIPES = {BLOG: Recipe(EPOCHS, LEARNING_RATE, 160), IMAGENET: Recipe(60, 1e-3, 224)}


def build_cnn(num_classes=2, size=RECIPES[BLOG].size, dtype=None):
    """The blog's network (section 4.2), untrained: pixels [B, size, size, 3] in [0, 1] to class probabilities.

    2,914,562 parameters for two classes at 160x160. dtype: a Keras dtype policy, None for the global one; the last
    layer and the softmax compute in float32 whatever it is. Raises ValueError for pictures too small for the poolings.
    """
    if size < 24:
        raise ValueError(f"size {size}: three poolings leave nothing of it; at least 24 is needed")
    chain = [keras.Input((size, size, 3), name="picture")]
    for number, filters in enumerate((64, 64, 128, 128), start=1):
        chain += [layers.Conv2D(filters, 3, name=f"conv{number}", dtype=dtype)]
        chain += [layers.Activation("relu", name=f"relu{number}", dtype=dtype)]
        chain += [layers.MaxPooling2D(name=f"pool{number}", dtype=dtype)] if number > 1 else []
    chain += [layers.Flatten(name="flatten", dtype=dtype), layers.Dense(64, name="dense", dtype=dtype)]
    chain += [layers.Activation("relu", name="relu_dense", dtype=dtype)]
    chain += [layers.Dropout(0.5, name="dropout", dtype=dtype)]
    chain += [layers.Dense(num_classes, kernel_initializer="random_uniform", name="logits", dtype="float32")]
    chain += [layers.Activation("softmax", name="softmax", dtype="float32")]
    return keras.Sequential(chain, name="blog_cnn")  # at once: `add` leaves outputs that lead nowhere


class Data(NamedTuple):
    """Pictures to train and measure on; each split is (images uint8 [N, size, size, 3], labels int [N])."""

    train: tuple
    validation: tuple
    test: tuple
    class_names: tuple
    source: str


def train(run, data, epochs=None, seed=0, network=BLOG, **options):
    """Train a classifier on `data` in the folder runs/<run>; returns (model with the best weights, metrics).

    network: "blog", the blog's CNN (300 epochs unless told; its precision is Keras' global dtype policy), or
    "imagenet", one dense layer on the frozen EfficientNet-Lite0 (60 epochs, float32); options: progress and on_epoch
    of `training.fit`. Killed at any moment, the same call goes on after the last whole epoch; with more epochs it
    trains further. Best is the first epoch with the highest validation accuracy. The metrics, measured on the test
    pictures with that epoch's weights in float32, go to runs/<run>/metrics.json at the end. Raises ValueError for
    another network, where the folder holds another or a damaged training, and for no epochs; errors as `imagenet.load`.
    """
    if network not in RECIPES:
        raise ValueError(f"network {network!r}: choose one of {', '.join(RECIPES)}")
    usual = RECIPES[network]
    epochs = usual.epochs if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed; usual are {usual.epochs}")
    run, classes, size = run_folder(run), len(data.class_names), data.train[0].shape[1]
    feeder, validation = (_pixels if network == BLOG else _features)(data, seed)
    keras.utils.set_random_seed(seed)
    trained = build_cnn(classes, size) if network == BLOG else transfer.build_head(classes)
    optimizer = keras.optimizers.Adam(usual.learning_rate)
    optimizer = training.scaled(optimizer) if network == BLOG else optimizer
    recipe = {"network": trained.name, "optimizer": f"Adam {usual.learning_rate}", "batch_size": BATCH_SIZE}
    recipe |= {"seed": seed, "precision": keras.config.dtype_policy().name if network == BLOG else "float32"}
    recipe |= {"class_names": list(data.class_names), "data": runs.digest(*data.train, *data.validation)}
    options |= {"validation": validation, "keep_best": True, "from_logits": False, "recipe": recipe}
    history = training.fit(trained, optimizer, run, feeder, epochs, **options)
    best, last = (build(network, classes, size) for _ in range(2))
    runs.load_best(trained_part(best), run)
    trained_part(last).set_weights(trained.get_weights())
    metrics = {"network": network, **_metrics(data, recipe, history, best, last)}
    metrics["sha256"] = paths.checksum(run / "best.weights.h5")
    paths.write_json(metrics, run / "metrics.json")
    return best, metrics


def _pixels(data, seed):
    """What the blog's network trains on: the feeder, and the validation batches."""
    feeder = partial(batches.pictures, tf.constant(data.train[0]), data.train[1], BATCH_SIZE, seed)
    return feeder, batches.pictures(*data.validation, BATCH_SIZE)


def _features(data, seed):
    """The same for one new layer: what the frozen network makes of the pictures."""
    train, validation = ((transfer.features(images), labels) for images, labels in (data.train, data.validation))
    return partial(transfer.head_batches, train, BATCH_SIZE, seed), transfer.head_batches(validation, BATCH_SIZE)


def build(network, num_classes, size):
    """The network of that name in float32, untrained: pixels [B, size, size, 3] in [0, 1] to class probabilities."""
    return build_cnn(num_classes, size, "float32") if network == BLOG else transfer.build(num_classes, size)


def trained_part(model):
    """What training changes of a classifier, and stores: all of it, or its head where it has a frozen backbone."""
    return model.get_layer("head") if model.name == "transfer" else model


def _metrics(data, recipe, history, best, last):
    """What is known of a finished training; best, last: the network after its best and after its last epoch."""
    measured = {**measure(best, *data.test), "epochs": len(history)}
    measured |= {"last_epoch_accuracy": measure(last, *data.test)["accuracy"]}
    measured |= {"best_epoch": 1 + int(np.argmax([row["validation_accuracy"] for row in history]))}
    measured |= {"seed": recipe["seed"], "seconds": round(sum(row["seconds"] for row in history), 1)}
    pictures = {"source": data.source, "pictures": [len(split[1]) for split in data[:3]], "size": best.input_shape[1]}
    same = {name: recipe[name] for name in ("precision", "optimizer", "batch_size", "data")}
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    columns = {name: [round(float(row[name]), 5) for row in history] for name in names}
    return {"class_names": recipe["class_names"], **measured, **pictures, **same, "history": columns}


def check_data(metrics, data):
    """Raise ValueError where `data` are other pictures than the training of these `metrics` saw.

    The test pictures of another split may be among those that the network was trained on.
    """
    digest = runs.digest(*data.train, *data.validation)
    if metrics.get("data", digest) != digest:  # the shipped network does not say
        seen = f"these weights saw other pictures (seed {metrics['seed']}, {metrics['pictures']})"
        advice = "set COUNTS, seed and NEAR_DUPLICATES as they were; where photos changed, train under another name"
        raise ValueError(f"{seen}: {advice}")


def run_folder(run):
    """The folder of a run named "x" or "runs/x"; an absolute path is taken as it is. Raises ValueError for no name."""
    folder = paths.ROOT / run if Path(run).parts[:1] == (paths.RUNS.name,) else paths.RUNS / run
    if folder == paths.RUNS:
        raise ValueError(f'run {str(run)!r}: expected a name, "x" or "runs/x" (--name)')
    return folder


def load_trained(name=SHIPPED):
    """The trained network of that name, in float32, and its metrics: (model, dict).

    name: "kitchen_cnn" or another that `ship` wrote to weights/, or "runs/<name>" for one of your own.
    Raises FileNotFoundError where there is none, or where its training has not ended; OSError where one of weights/ or
    its description is damaged; ValueError for weights of another kind.
    """
    weights, about = shipped.weights_file(name), paths.WEIGHTS / f"{name}.json"
    if not weights.exists():
        weights, about = run_folder(name) / "best.weights.h5", run_folder(name) / "metrics.json"
    if not (weights.exists() and about.exists()):
        missing = f"neither {paths.relative(weights)} with {about.name} nor one in weights/"
        advice = "train it with `make train` and name it runs/<name>"
        raise FileNotFoundError(f"no finished training {name!r}: {missing}; {advice}")
    metrics = shipped.read(about, shipped.AGAIN if about.parent == paths.WEIGHTS else "Give the same command again")
    if "class_names" not in metrics:
        raise ValueError(f"weights {name!r} are of another kind of network; take {SHIPPED!r} or one of your own")
    model = build(metrics.get("network", BLOG), len(metrics["class_names"]), metrics["size"])
    if weights == shipped.weights_file(name):
        return shipped.restore(model, name, "make train"), metrics
    if metrics.get("sha256") != paths.checksum(weights):
        newer = f"{weights.parent.name} was trained on since its {about.name} was written, and has not ended"
        raise FileNotFoundError(f"{newer}: give the same command again")
    trained_part(model).load_weights(weights)
    return model, metrics


def ship(run, test, name=SHIPPED):
    """Write a finished run's best weights as float16 to weights/<name>.weights.h5, its metrics beside; returns these.

    The accuracy and confusion matrix are measured anew on `test` = (images, labels), with the rounded weights.
    """
    model, metrics = load_trained(str(run_folder(run)))
    if trained_part(model) is not model:
        raise ValueError(f"{run}: only the blog's network is shipped; copy the folder of another training")
    if shipped.weights_file(name).exists() and "class_names" not in shipped.known(name):
        raise ValueError(f"weights/{name}.* are of another kind of network: choose another name")
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
    matrix = confusion_matrix(labels, predicted, labels=range(model.output_shape[-1]))
    return {"accuracy": float(np.mean(predicted == labels)), "confusion_matrix": matrix.tolist()}


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
    steps = FunctionTransformer(colour_features), StandardScaler(), LogisticRegression(max_iter=5000)
    return make_pipeline(*steps).fit(images, labels)


def photo_data(folder, counts=photos.COUNTS, seed=0, size=RECIPES[BLOG].size, near_duplicates=photos.TOGETHER):
    """A folder of photos as `Data`, and all that `photos.load` found in it: (Data, Photos).

    folder: with one sub-folder a class; a relative one may start from the project's folder, too. size: pixels a side.
    """
    loaded = photos.load(paths.given(folder), counts, seed, size, near_duplicates)
    three = [(split.images, split.labels) for split in (loaded.train, loaded.validation, loaded.test)]
    return Data(*three, loaded.class_names, f"photos ({Path(folder).name})"), loaded


def kitchen_data(counts=photos.COUNTS, seed=0):
    """Dishes of the built-in kitchen as `Data`; counts: (train, validation, test) per class."""
    splits.check_counts(counts)
    made = dishes.make_split(dict(zip(splits.NAMES, counts, strict=True)), seed)
    return Data(*((made[name].images, made[name].labels) for name in splits.NAMES), dishes.LABELS, "built-in kitchen")
