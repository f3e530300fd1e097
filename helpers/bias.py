"""The bias experiment (blog, 3-3): the same small network trained with and without the griddle giving the answer away.

Conditions, each of the same number of pictures: "biased", okonomiyaki mostly on the griddle and pizza hardly ever;
"balanced", both equally often; "cured", the biased pictures with their backgrounds exchanged with the help of the
masks; "half-cured", every second one exchanged; "diverse", every second one replaced by a new dish of a balanced set.
Derived in notebook 07.
"""

from functools import partial

import keras
import numpy as np
from keras import layers
from scipy import ndimage

from helpers import dishes, faithfulness, gradcam, tracing, training
from helpers.training import batches, runs, shipped

CONDITIONS = ("biased", "balanced", "cured", "half-cured", "diverse")
RATES = {"ordinary": (0.95, 0.05), "balanced": (0.5, 0.5), "swapped": (0.05, 0.95)}  # P(griddle | okonomiyaki, pizza)
SIZE, TRAIN_COUNT, TEST_COUNT = 80, 400, 200  # pixels; pictures per class
SEEDS = (0, 1, 2)
BATCH_SIZE, EPOCHS, LEARNING_RATE = 25, 15, 1e-3
TRAIN_SEED, TEST_SEED, NEW_SEED = 70, 71, 72  # of the kitchen
LEAST_BACKGROUND = 0.2  # of a picture, to lend its background to another
MARGIN = 2  # pixels around a dish in which its colours blend with the background


def build_cnn(size=SIZE):
    """The blog's network in small: a quarter of its channels, half its dense units, pictures of half the width.

    Pixels [B, size, size, 3] in [0, 1] to class probabilities [B, 2]; 82,290 parameters at 80x80.
    """
    chain = [keras.Input((size, size, 3))]
    for number, filters in enumerate((16, 16, 32, 32), start=1):
        chain += [layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")]
        chain += [layers.MaxPooling2D(name=f"pool{number}")] if number > 1 else []
    chain += [layers.Flatten(name="flatten"), layers.Dense(32, activation="relu", name="dense")]
    chain += [layers.Dropout(0.5, name="dropout"), layers.Dense(2, activation="softmax", name="classes")]
    return keras.Sequential(chain, name="small_blog_cnn")


def training_set(condition, count=TRAIN_COUNT):
    """Pictures uint8 [N, SIZE, SIZE, 3] and labels [N], `count` of each class, in one of the CONDITIONS.

    The food is the same in all of them but for the new half of "diverse". ValueError for another condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r}: choose one of {', '.join(CONDITIONS)}")
    rates = RATES["balanced" if condition == "balanced" else "ordinary"]
    split = dishes.make_split({"train": count}, TRAIN_SEED, rates, SIZE)["train"]
    images, labels = split.images.copy(), split.labels
    half = np.concatenate([np.flatnonzero(labels == label)[::2] for label in range(len(dishes.LABELS))])
    if condition in ("cured", "half-cured"):
        changed = half if condition == "half-cured" else np.arange(len(labels))
        images[changed] = exchange_backgrounds(split.images, split.mask("dish"))[changed]
    if condition == "diverse":
        new = dishes.make_split({"train": (count + 1) // 2}, NEW_SEED, RATES["balanced"], SIZE)["train"]
        images[half] = new.images[np.argsort(new.labels, kind="stable")]
    return images, labels


def test_sets(count=TEST_COUNT, size=SIZE):
    """{"ordinary", "balanced", "swapped": `dishes.Split`}: the same food in the same order, the griddle as in RATES."""
    return {name: dishes.make_split({"test": count}, TEST_SEED, rates, size)["test"] for name, rates in RATES.items()}


def exchange_backgrounds(images, masks):
    """Each dish on the background of a random picture, whatever its class: uint8 [N, H, W, 3].

    images: uint8 [N, H, W, 3]; masks: bool [N, H, W], the dishes. The lender's own dish is wiped out as by
    `without_dish`. Pictures with less than LEAST_BACKGROUND of background lend none. Raises ValueError if none can.
    """
    lenders = np.flatnonzero((~masks).mean(axis=(1, 2)) >= LEAST_BACKGROUND)
    if not len(lenders):
        raise ValueError(f"masks: no picture has {LEAST_BACKGROUND:.0%} of background to lend")
    lots = np.random.default_rng(0).permutation(len(images)) % len(lenders)
    backgrounds = [without_dish(images[lender], masks[lender]) for lender in lenders[lots]]
    return np.where(masks[..., None], images, np.stack(backgrounds))


def without_dish(image, mask):
    """A picture [H, W, 3] with each pixel of the mask [H, W], widened by MARGIN, replaced by the nearest other one."""
    wide = ndimage.binary_dilation(mask, iterations=MARGIN)
    nearest = ndimage.distance_transform_edt(wide, return_distances=False, return_indices=True)
    return image[tuple(nearest)]


def train(condition, seed, run, data, epochs=EPOCHS, progress=True):
    """Train one network on data = (images, labels) in the folder `run`; returns (network, history). It resumes.

    Adam; the seed sets the weights at the start, the order of the pictures and the dropout.
    """
    images, labels = data
    keras.utils.set_random_seed(seed)
    network, optimizer = build_cnn(images.shape[1]), keras.optimizers.Adam(LEARNING_RATE)
    recipe = {"condition": condition, "seed": seed, "epochs": epochs, "batch": BATCH_SIZE}
    recipe |= {"pictures": len(images), "data": runs.digest(images, labels)}
    options = {"from_logits": False, "recipe": recipe, "progress": progress}
    epoch_batches = partial(batches.pictures, images, labels, BATCH_SIZE, seed)
    return network, training.fit(network, optimizer, run, epoch_batches, epochs, **options)


def load(condition, seed):
    """The shipped network of a condition and seed. ValueError for others; further errors as in `shipped.restore`."""
    if condition not in CONDITIONS or seed not in SEEDS:
        known = f"conditions are {', '.join(CONDITIONS)}, seeds {SEEDS}"
        raise ValueError(f"no network {condition!r}, seed {seed}: {known}")
    return shipped.restore(build_cnn(), f"bias_{condition}_{seed}", "python scripts/train_small.py bias")


def okonomiyaki_rather(outputs):
    """Evidence for okonomiyaki and against pizza: the difference of the two logits, float32 [B]; a `score`."""
    logits = tracing.logits(outputs)
    return logits[:, 0] - logits[:, 1]


def background_energy(network, split, layer=None):
    """The share of the energy that lies beside the dish: float64 [M] in [0, 1].

    Grad-CAM of `okonomiyaki_rather` for the M pictures of the split with a griddle, whatever is on it. layer: as for
    `GradCAM`. NaN for pictures that show nothing but the dish.
    """
    on_griddle = split.backgrounds == dishes.BACKGROUNDS.index("iron_griddle")
    images, dish = split.images[on_griddle], split.mask("dish")[on_griddle]
    maps = gradcam.GradCAM(network, layer, okonomiyaki_rather)(images.astype(np.float32) / 255)
    return faithfulness.energy_inside_mask(gradcam.resize(maps, images.shape[1:3]), ~dish)


def measure(network, tests):
    """{"<test set>": accuracy, ..., "energy": mean background energy on the ordinary set}, plain floats."""
    measured = {}
    for name, split in tests.items():
        data = batches.pictures(split.images, split.labels, BATCH_SIZE)
        measured[name] = training.evaluate(network, data, from_logits=False)["accuracy"]
    return {**measured, "energy": float(np.nanmean(background_energy(network, tests["ordinary"])))}
