"""From a gradient to a share of the score: gradient x input, Integrated Gradients, and SmoothGrad for any method."""

import itertools

import numpy as np
import tensorflow as tf

from helpers.guided import Gradient
from helpers.tracing.scores import Scores, scored

AT_ONCE = 16  # pictures that a network is asked about


class GradientTimesInput(Gradient):
    """`explain = GradientTimesInput(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Each pixel times the gradient on it: its share of the score if the network were linear. A pixel of 0 gets 0.
    Cost: about 2 forward passes. score, output, input: as for `Gradient`.
    Source: Shrikumar et al. 2016, "Not just a black box".
    """

    def _maps(self, inputs, classes):
        found = super()._maps(inputs, classes)
        return found._replace(maps=found.maps * tf.cast(self._picture(inputs), tf.float32))


class IntegratedGradients:
    """`explain = IntegratedGradients(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    The gradient's mean over `steps` pictures on the straight way from the baseline to the picture, times their
    difference. The shares of all pixels add up to the score's difference between picture and baseline (completeness);
    with few steps nearly so. baseline: a number for all pixels or an array that fits the pictures, in their scale.
    Cost: about 2 forward passes a step, for a single picture 1 (16 steps at once). score, output, input: as for
    `Gradient`; all else: as for `GradCAM`.
    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", equation (1).
    """

    def __init__(self, model, score=None, steps=32, baseline=0.0, **choice):
        self.steps, self.baseline = _whole("steps", steps, usual=32), baseline
        self.gradient, self.scores = (kind(model, score, **choice) for kind in (Gradient, Scores))

    def __call__(self, images, classes=None):
        pixels = self.scores.pixels(images)
        difference = pixels - np.float32(self.baseline)
        ways_left = 1 - (np.arange(self.steps, dtype=np.float32) + 0.5) / self.steps
        between = (pixels - left * difference for left in ways_left)
        return difference * _mean_map(self.gradient, self.scores, images, classes, between)


class Smooth:
    """`explain = Smooth(GradCAM(model))`, then `explain(images, classes)`: the mean of its maps under noise.

    explain: any explainer of this project. samples: how many noisy copies of each picture. noise: the standard
    deviation, as a share of the picture's range of values. seed: of the noise, the same at every call for a picture in
    the same place of its batch. Cost: `samples` times that of the explainer. Source: Smilkov et al. 2017, "SmoothGrad".
    """

    def __init__(self, explain, samples=25, noise=0.15, seed=0):
        self.samples = _whole("samples", samples, usual=25)
        self.explain, self.noise, self.seed = explain, noise, seed
        own = getattr(explain, "scores", explain)  # of those that ask for scores themselves
        self.scores = Scores(own.model, own.score, output=own.output, input=own.input)

    def __call__(self, images, classes=None):
        pixels, rng = self.scores.pixels(images), np.random.default_rng(self.seed)
        scale = np.float32(self.noise) * np.ptp(pixels, axis=tuple(range(1, pixels.ndim)), keepdims=True)
        noisy = (pixels + scale * rng.standard_normal(pixels.shape, np.float32) for _ in range(self.samples))
        return _mean_map(self.explain, self.scores, images, classes, noisy)


def _whole(option, value, usual):
    """`value` as an int. ValueError for what is no whole number of at least 1."""
    if value < 1 or value % 1:
        raise ValueError(f"{option}: {value}; a whole number of at least 1 is needed, {usual} are usual")
    return int(value)


def _mean_map(explain, scores, images, classes, copies):
    """The mean of explain's maps of changed copies of the pictures, an iterable of [B, ...], for one class a picture.

    Without `classes` these are the predicted ones: changed copies might get others. Few pictures are asked about
    in several copies at once, which is faster.
    """
    _, chosen = scored(scores, images, classes)
    total, count, copies = 0.0, 0, iter(copies)
    while some := list(itertools.islice(copies, max(AT_ONCE // len(chosen), 1))):
        changed = np.stack(some, axis=1).reshape(-1, *some[0].shape[1:])  # [B * copies, ...]
        maps = explain(scores.with_pixels(images, changed), None if scores.score else np.repeat(chosen, len(some)))
        total, count = total + maps.reshape(len(chosen), len(some), *maps.shape[1:]).sum(axis=1), count + len(some)
    return total / np.float32(count)
