"""Completeness, cost and intervals, and explaining many pictures a batch at a time."""

import operator
import time

import keras
import numpy as np
from scipy import stats

from helpers.tracing.explainer import class_vector
from helpers.training.batches import slices


def completeness_gap(maps, scores):
    """How far each map's mean is from the score it claims to be made of, relative to that score: float64 [B].

    maps: [B, ...], signed; scores: [B]; for CAM the logit without the dense bias. Source: GCM paper, equation (3).
    """
    scores = np.asarray(scores, np.float64)
    gaps = np.abs(np.asarray(maps, np.float64).reshape(len(scores), -1).mean(axis=1) - scores)
    return np.divide(gaps, np.abs(scores), out=np.where(gaps > 0, np.inf, 0.0), where=scores != 0)


def time_in_forward_passes(explain, predict, images, classes, rounds=15):
    """What an explanation of `images` costs, in calls of predict(images): the median of interleaved rounds, float."""

    def seconds(function, *arguments):
        started = time.perf_counter()
        np.asarray(function(*arguments))
        return time.perf_counter() - started

    costs = [seconds(explain, images, classes) / seconds(predict, images) for _ in range(rounds + 1)]
    return float(np.median(costs[1:]))  # the first round also traces the graphs


def bootstrap_interval(values, level=0.95, resamples=10_000, seed=0):
    """Percentile interval of the mean of values [B]: (low, high). To compare two methods, give their differences.

    values [S, B], scores of the same pictures on networks of S seeds: seeds and pictures are both resampled, NaN is
    ignored. Raises ValueError for NaN in [B] (leave those pictures out) and where all is NaN. Source: Efron and
    Tibshirani 1993, chapter 13.
    """
    values = np.asarray(values, np.float64)
    if values.ndim == 2:
        return _over_seeds(values, level, resamples, np.random.default_rng(seed))
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        wanted = "expected one number per picture: leave out pictures with an empty mask"
        raise ValueError(f"values: shape {values.shape}, {np.isnan(values).sum()} of them NaN; {wanted}")
    if len(values) == 1:  # scipy wants two
        return float(values[0]), float(values[0])
    options = {"n_resamples": resamples, "confidence_level": level, "method": "percentile"}
    found = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(seed), **options).confidence_interval
    return float(found.low), float(found.high)


def _over_seeds(values, level, resamples, rng):
    """The interval for values [S, B]: how often each seed and each picture is drawn gives the weights of a mean."""
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError(f"values: shape {values.shape}, all of them NaN; expected scores")
    seeds, pictures = (rng.multinomial(n, np.full(n, 1 / n), resamples).astype(float) for n in values.shape)
    sums = [((seeds @ some) * pictures).sum(axis=1) for some in (np.where(known, values, 0), known.astype(float))]
    means = np.divide(*sums, out=np.full(resamples, np.nan), where=sums[1] > 0)  # without any known value there is none
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def explain_all(explain, images, classes=None, batch_size=16):
    """explain(images, classes) for any number of pictures, a batch at a time; classes: int, [B] ints, or None.

    images: an array [B, H, W, C], or a model's own list, tuple or dict of inputs. Raises ValueError for no pictures and
    for another number of classes.
    """
    length, maps = len(keras.tree.flatten(images)[0]), []
    chosen = None if classes is None else class_vector(classes, length)
    for batch in slices(length, batch_size):
        some = keras.tree.map_structure(operator.itemgetter(batch), images)
        maps.append(explain(some, None if classes is None else chosen[batch]))
    return np.concatenate(maps)
