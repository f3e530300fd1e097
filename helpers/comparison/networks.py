"""The small networks of notebook 10, trained on the built-in kitchen: GCM, and one for each kind of class map."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers

from helpers import gcm, training
from helpers.gcm.conv_block import PLAIN
from helpers.training import batches, runs, shipped

BATCH_SIZE, EPOCHS, LEARNING_RATE = 15, 90, 1e-3  # ours, as are Adam and the mirrored pictures
MEAN_COLOUR = (0.5958, 0.4873, 0.3763)  # of the kitchen's training pictures


def encoder_with_gap(num_classes):
    """GCM's encoder, global average pooling and a dense layer: what CAM is defined for. Pixels to probabilities."""
    return gcm.comparison_cnn(num_classes, MEAN_COLOUR, widths=[filters for filters, _ in gcm.ENCODER])


def network_in_network(num_classes):
    """A small Network in Network: pixels [B, H, W, 3] in [0, 1] to class probabilities, one last map a class.

    Three blocks, each a 3x3 convolution followed by two 1x1 ones, every one with batch normalisation (ours) and ReLU;
    the last gives the class maps, without ReLU (ours: so that a place can count against a class). Their means are the
    logits. Source: Lin et al. 2014, "Network in network", sections 3.1 and 3.2.
    """
    chain = [keras.Input((None, None, 3))]
    for block, width in enumerate((32, 64, 96), start=1):
        for kernel, name in ((3, "conv"), (1, "mlp1"), (1, "mlp2"))[: 2 if block == 3 else 3]:
            strides = 2 if (block, name) == (1, "conv") else 1
            chain += [layers.Conv2D(width, kernel, strides, **PLAIN, name=f"{name}_{block}")]
            chain += [layers.BatchNormalization(name=f"norm_{name}_{block}")]
            chain += [layers.ReLU(name=f"relu_{name}_{block}")]
        if block < 3:
            chain += [layers.MaxPooling2D(name=f"pool_{block}")]
    chain += [layers.Conv2D(num_classes, 1, name="class_maps")]
    chain += [layers.GlobalAveragePooling2D(name="gap")]
    chain += [layers.Activation("softmax", dtype="float32", name="softmax")]
    return keras.Sequential(chain, name="network_in_network")


NETWORKS = {"kitchen_gcm": gcm.GCM, "kitchen_cam": encoder_with_gap, "kitchen_nin": network_in_network}
VARIANTS = ("", "_1", "_2", "_shuffled")  # seed 0, seeds 1 and 2, and seed 0 on shuffled labels
NAMES = [name + variant for name in NETWORKS for variant in VARIANTS]


def build(name, size=160):
    """The untrained network of that name, built for pictures of size x size. Raises ValueError for unknown names."""
    if name not in NAMES:
        raise ValueError(f"network {name!r}: choose one of {', '.join(NAMES)}")
    network = next(build for base, build in NETWORKS.items() if name.startswith(base))(2)
    if not network.built:
        network.build((None, size, size, 3))
    return network


def train(run, name, data, epochs=EPOCHS, **options):
    """Train the network `name` on data["train"] in the folder `run`; returns it with its best epoch's weights.

    data: {"train", "validation": (images uint8 [N, H, W, 3], labels int [N], ...)}, as `dishes.make_split` gives
    them. Batches of 15, Adam 0.001, divided by 10 after 100/180 and 150/180 of the epochs, pictures mirrored at random;
    best is the highest validation accuracy. Resumes as `training.fit` does, whose progress and on_epoch are the
    options. The seed is 0, for NAME_1 and NAME_2 1 and 2.
    NAME_shuffled: the training labels are shuffled, so that nothing but single pictures can be learned (Adebayo
    et al. 2018, section 4); no picture is mirrored, which would make that harder, and the last epoch's weights stay.
    """
    images, labels = data["train"][0], training_labels(name, data)
    recipe = _recipe(name, epochs)
    seed, mirrored = recipe["seed"], recipe["mirrored"]
    keras.utils.set_random_seed(seed)
    network, optimizer = build(name, images.shape[1]), training.scaled(keras.optimizers.Adam(LEARNING_RATE))
    recipe |= {"precision": keras.config.dtype_policy().name, "pictures": len(images)}
    recipe |= {"data": runs.digest(images, labels)}
    options |= {"recipe": recipe, "from_logits": name.startswith("kitchen_gcm"), "keep_best": mirrored}
    options |= {"validation": batches.pictures(*data["validation"][:2], BATCH_SIZE)}
    options |= {"learning_rate": training.paper_schedule(epochs, LEARNING_RATE)}
    epoch_batches = partial(batches.pictures, images, labels, BATCH_SIZE, seed, mirrored=mirrored)
    training.fit(network, optimizer, run, epoch_batches, epochs, **options)
    if mirrored:
        runs.load_best(network, Path(run))
    return network


def training_labels(name, data):
    """The labels that the network of that name is trained on: data["train"]'s, or shuffled for NAME_shuffled."""
    labels = data["train"][1]
    return np.random.default_rng(0).permutation(labels) if name.endswith("_shuffled") else labels


def about(network, name, data, epochs=EPOCHS):
    """What weights/<name>.json says of a trained network: its recipe, and what it reaches on data["test"].

    train_accuracy is the part of the labels it was trained on, right or shuffled, that it knows.
    """
    learned = accuracy(network, name, (data["train"][0], training_labels(name, data)))
    measured = {"train_accuracy": learned, "test_accuracy": accuracy(network, name, data["test"])}
    return {**_recipe(name, epochs), "pictures": len(data["train"][1]), **measured}


def _recipe(name, epochs):
    recipe = {"network": name, "optimizer": f"Adam {LEARNING_RATE}", "batch_size": BATCH_SIZE, "epochs": epochs}
    return {**recipe, "mirrored": not name.endswith("_shuffled"), "seed": seed_of(name)}


def seed_of(name):
    """The seed from which the network of that name was trained: 1 for NAME_1, 0 for NAME and NAME_shuffled."""
    return int(name[-1]) if name[-1].isdigit() else 0


def load_trained(name):
    """The shipped network of that name. ValueError for unknown names; further errors as in `shipped.restore`."""
    return shipped.restore(build(name), name, f"python scripts/train_small.py {name}")


def accuracy(network, name, split):
    """The part of a split's pictures that `network` gets right."""
    data = batches.pictures(*split[:2], BATCH_SIZE)
    return training.evaluate(network, data, name.startswith("kitchen_gcm"))["accuracy"]
