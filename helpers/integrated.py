"""From a gradient to a share of the score: gradient x input, Integrated Gradients, and SmoothGrad for any method."""

import numpy as np

from helpers.guided import Gradient
from helpers.tracing.scores import Scores


class GradientTimesInput(Gradient):
    """`explain = GradientTimesInput(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Each pixel times the gradient on it: its share of the score if the network were linear. A pixel of 0 gets 0.
    Cost: about 2 forward passes. score, output, input: as for `Gradient`.
    Source: Shrikumar et al. 2016, "Not just a black box".
    """

    def _maps(self, inputs, classes):
        found = super()._maps(inputs, classes)
        return found._replace(maps=found.maps * self._picture(inputs))


class IntegratedGradients:
    """`explain = IntegratedGradients(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    The gradient's mean over `steps` pictures on the straight way from the baseline to the picture, times their
    difference. The shares of all pixels add up to the score's difference between picture and baseline (completeness);
    with few steps nearly so. baseline: a number for all pixels or an array that fits the pictures, in their scale.
    Cost: about 2 forward passes a step. score, output, input: as for `Gradient`; all else: as for `GradCAM`.
    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", equation (1).
    """

    def __init__(self, model, score=None, steps=32, baseline=0.0, **choice):
        if steps < 1:
            raise ValueError(f"steps: {steps}; at least 1 is needed, 32 are usual")
        self.steps, self.baseline = steps, baseline
        self.gradient, self.scores = (kind(model, score, **choice) for kind in (Gradient, Scores))

    def __call__(self, images, classes=None):
        classes, pixels = predicted(self.scores, images, classes), self.scores.pixels(images)
        difference, total = pixels - np.float32(self.baseline), 0.0
        for step in range(self.steps):
            there = (step + 0.5) / self.steps
            between = pixels - np.float32(1 - there) * difference
            total += self.gradient(self.scores.with_pixels(images, between), classes)
        return difference * total / self.steps


class Smooth:
    """`explain = Smooth(GradCAM(model))`, then `explain(images, classes)`: the mean of its maps under noise.

    explain: any explainer of this project. samples: how many noisy copies of each picture. noise: the standard
    deviation, as a share of the picture's range of values. seed: of the noise, which is the same at every call.
    Cost: `samples` times that of the explainer. Source: Smilkov et al. 2017, "SmoothGrad".
    """

    def __init__(self, explain, samples=25, noise=0.15, seed=0):
        self.explain, self.samples, self.noise, self.seed = explain, samples, noise, seed
        own = getattr(explain, "scores", explain)  # of those that ask for scores themselves
        self.scores = Scores(own.model, own.score, output=own.output, input=own.input)

    def __call__(self, images, classes=None):
        classes, pixels = predicted(self.scores, images, classes), self.scores.pixels(images)
        axes, rng = tuple(range(1, pixels.ndim)), np.random.default_rng(self.seed)
        scale, total = np.float32(self.noise) * np.ptp(pixels, axis=axes, keepdims=True), 0.0
        for _ in range(self.samples):
            noisy = pixels + scale * rng.standard_normal(pixels.shape, np.float32)
            total += self.explain(self.scores.with_pixels(images, noisy), classes)
        return total / np.float32(self.samples)


def predicted(scores, images, classes):
    """`classes`, or those predicted for the pictures themselves: changed copies of them might get others."""
    return scores(images).argmax(axis=-1) if classes is None and scores.score is None else classes
