"""Scores of every method on every network of notebook 10, from nothing but `explain`, `predict` and pictures."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from helpers import dishes, faithfulness
from helpers.faithfulness import randomisation

STEPS, ROAD = 10, (0.1, 0.3, 0.5)  # of deletion and insertion curves; parts that ROAD takes away
MOVED, COPIES = 10, 3  # stability: so many pictures, so many noisy copies of each


class Pictures(NamedTuple):
    """What all methods are asked about: the kitchen's test pictures, and tables with two dishes."""

    images: np.ndarray  # float32 [B, H, W, 3] in [0, 1]
    labels: np.ndarray  # int [B]
    dish: np.ndarray  # bool [B, H, W]
    tables: np.ndarray  # float32 [P, H, W, 3]
    own: np.ndarray  # bool [P, 2, H, W]: each class's dish


def pictures(test, count, pairs):
    """The first `count` pictures of a split of the kitchen, and `pairs` tables with one dish of either class."""
    both = [dishes.two_dishes(seed) for seed in range(pairs)]
    own = [[one.masks[one.labels.index(label)]["dish"] for label in dishes.LABELS] for one in both]
    return Pictures(
        test.images[:count] / np.float32(255),
        np.asarray(test.labels[:count]),
        test.mask("dish")[:count],
        np.stack([one.image for one in both]) / np.float32(255),
        np.array(own),
    )


def predictor(model, from_logits=False):
    """A compiled predict(images) -> probabilities [B, N], float32."""
    last = tf.nn.softmax if from_logits else tf.identity
    call = tf.function(lambda images: tf.cast(last(model(images, training=False)), tf.float32), reduce_retracing=True)
    return lambda images: call(tf.constant(images, tf.float32))


class Judge(NamedTuple):
    """A network's answers about the whole pictures and about the empty ones, computed once for all methods."""

    predict: object
    images: np.ndarray
    classes: np.ndarray  # int [B], the predicted ones
    baselines: dict  # {"deletion": the mean colour, "insertion": the blurred picture}
    ends: dict  # {the same: (predict of the pictures, predict of the baselines)}
    counted: dict  # {the same: bool [B], where the baseline takes the class away: probability below one half}


def judge(predict, images):
    """The `Judge` that asks predict(images) -> probabilities [B, N]."""
    whole = faithfulness.predict_all(predict, images)
    classes = whole.argmax(axis=1)
    baselines = {"deletion": faithfulness.mean_colour(images), "insertion": faithfulness.blurred(images)}
    ends = {name: (whole, faithfulness.predict_all(predict, empty)) for name, empty in baselines.items()}
    counted = {name: empty[np.arange(len(images)), classes] < 0.5 for name, (_, empty) in ends.items()}
    return Judge(predict, images, classes, baselines, ends, counted)


def by_network(asked, maps):
    """{score: float64 [B]} of one method's maps by what the network answers; NaN where a baseline keeps the class."""
    found, about = {}, (asked.predict, asked.images, maps, asked.classes)
    for name, curve in (("deletion", faithfulness.deletion_curve), ("insertion", faithfulness.insertion_curve)):
        areas = faithfulness.area(*curve(*about, asked.baselines[name], STEPS, asked.ends[name]))
        found[name] = np.where(asked.counted[name], areas, np.nan)
    found["road"] = faithfulness.road_curve(*about, fractions=ROAD).mean(axis=1)
    found["drop"], found["increase"] = faithfulness.drop_and_increase(*about)
    return found


def by_masks(maps, masks):
    """{score: float64 [B]} of one method's maps by where the object lies, bool [B, H, W]."""
    return {
        "energy": faithfulness.energy_over_chance(maps, masks),
        "pointing": faithfulness.pointing_game(maps, masks),
        "box": faithfulness.box_overlap(maps, masks),
    }


def own_dish(explain, tables, own):
    """The energy on the asked class's dish among that on both dishes, the mean over both classes: [P]; blind: 0.5."""
    shares = []
    for label in (0, 1):
        maps = faithfulness.explain_all(explain, tables, label)
        mine, other = (faithfulness.energy_inside_mask(maps, own[:, which]) for which in (label, 1 - label))
        shares.append(np.divide(mine, mine + other, out=np.full(len(mine), 0.5), where=mine + other > 0))
    return np.mean(shares, axis=0)


def score(explain, asked, shown, occluded):
    """All scores of one method on one network, {score: float64 array}; shown: `Pictures`, occluded: occlusion's maps.

    Control maps, which ask no network, are scored by the same lines.
    """
    maps = faithfulness.explain_all(explain, shown.images, asked.classes)
    few = shown.images[:MOVED], asked.classes[:MOVED]
    return {
        **by_masks(maps, shown.dish),
        **by_network(asked, maps),
        "own": own_dish(explain, shown.tables, shown.own),
        "occlusion": faithfulness.occlusion_correlation(maps, occluded),
        "sensitivity": faithfulness.sensitivity(explain, *few, samples=COPIES),
    }


def forgetful(build, model, seed):
    """A copy of `model`, build() of its kind, in which the entries of every weight are shuffled."""
    rng, copy = np.random.default_rng(seed), build()
    copy.set_weights(randomisation.shuffled(model.get_weights(), rng))
    return copy
