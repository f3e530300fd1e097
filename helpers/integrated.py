"""From a gradient to a share of the score: gradient x input, Integrated Gradients, and SmoothGrad for any method."""

import numpy as np

from helpers.guided import Gradient
from helpers.tracing.explainer import picture
from helpers.tracing.scores import Scores, pixels_of, with_pixels


class GradientTimesInput(Gradient):
    """`explain = GradientTimesInput(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Each pixel times the gradient on it: its share of the score if the network were linear. A pixel of 0 gets 0.
    Cost: about 2 forward passes. score: as for `Gradient`. Source: Shrikumar et al. 2016, "Not just a black box".
    """

    def _maps(self, inputs, classes):
        found = super()._maps(inputs, classes)
        return found._replace(maps=found.maps * picture(inputs))


class IntegratedGradients:
    """`explain = IntegratedGradients(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    The gradient's mean over `steps` pictures on the straight way from the baseline to the picture, times their
    difference. The shares of all pixels add up to the score's difference between picture and baseline (completeness);
    with few steps nearly so. baseline: a number for all pixels or an array that fits the pictures, in their scale.
    Cost: about 2 forward passes a step. score: as for `Gradient`; images, classes, errors: as for `GradCAM`.
    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", equation (1).
    """

    def __init__(self, model, score=None, steps=32, baseline=0.0):
        if steps < 1:
            raise ValueError(f"steps: {steps}; at least 1 is needed, 32 are usual")
        self.model, self.score, self.steps, self.baseline = model, score, steps, baseline
        self.gradient = Gradient(model, score)

    def __call__(self, images, classes=None):
        classes, pixels = predicted(self, images, classes), pixels_of(images)
        difference, total = pixels - np.float32(self.baseline), 0.0
        for step in range(self.steps):
            there = (step + 0.5) / self.steps
            total += self.gradient(with_pixels(images, pixels - (1 - there) * difference), classes)
        return difference * total / self.steps


class Smooth:
    """`explain = Smooth(GradCAM(model))`, then `explain(images, classes)`: the mean of its maps under noise.

    explain: any explainer. samples: how many noisy copies of each picture. noise: the standard deviation, as a share
    of the picture's range of values. seed: of the noise, which is the same at every call. Cost: `samples` times that
    of the explainer. A callable that is none of this project's explainers needs `classes`: ValueError without.
    Source: Smilkov et al. 2017, "SmoothGrad".
    """

    def __init__(self, explain, samples=25, noise=0.15, seed=0):
        self.explain, self.samples, self.noise, self.seed = explain, samples, noise, seed
        self.model, self.score = getattr(explain, "model", None), getattr(explain, "score", None)

    def __call__(self, images, classes=None):
        classes, pixels = predicted(self, images, classes), pixels_of(images)
        axes, rng = tuple(range(1, pixels.ndim)), np.random.default_rng(self.seed)
        scale = np.float32(self.noise) * np.ptp(pixels, axis=axes, keepdims=True)

        def noisy():
            return with_pixels(images, pixels + scale * rng.standard_normal(pixels.shape, np.float32))

        return sum(self.explain(noisy(), classes) for _ in range(self.samples)) / np.float32(self.samples)


def predicted(explain, images, classes):
    """`classes`, or those predicted for the pictures themselves: changed copies of them might get others."""
    if classes is not None or explain.score is not None:
        return classes
    if explain.model is None:
        raise ValueError("classes: an int or one for each picture is wanted where the model is not known")
    return Scores(explain.model)(images).argmax(axis=-1)
