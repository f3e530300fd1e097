"""Explanations without a gradient: change the picture, ask the network again (occlusion, RISE, Score-CAM)."""

import os

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from helpers import tracing
from helpers.gradcam import GradCAM
from helpers.maps import resize
from helpers.tracing.explainer import Found
from helpers.tracing.scores import Probabilities, Scores, scored

SILENT = "TQDM_DISABLE" in os.environ  # tqdm's own switch, which its bars in notebooks do not read


class _BlackBox:
    """`explain(images, classes=None)`; a method says in `_map` what one picture's map is made of."""

    asked = Scores

    def __init__(self, model, score=None, batch_size=32, **choice):
        self.batch_size = batch_size
        self.scores = (Scores if score else self.asked)(model, score, **choice)

    def __call__(self, images, classes=None):
        """Explain a batch: float32 [B, H, W]. images, classes, errors: as for `GradCAM`."""
        (scores, chosen), pixels = scored(self.scores, images, classes), self.scores.pixels(images)
        if pixels.ndim != 4:
            raise ValueError(
                f"images: shape {pixels.shape}; pictures [B, H, W, C] are covered, for signals use GradCAM"
            )
        seen = self._looked_at(images, pixels)
        maps = [
            self._map(pixels[i], seen[i], scores[i, chosen[i]], self._asking(images, i, chosen[i]))
            for i in tqdm(range(len(pixels)), unit="picture", leave=False, delay=5, disable=SILENT)
        ]
        return np.stack(maps).astype(np.float32)

    def _asking(self, images, number, class_index):
        """The function: changed copies [n, H, W, C] of that picture -> their scores for the class, [n]."""
        own = keras.tree.map_structure(lambda leaf: leaf[number : number + 1], images)
        return lambda copies: self.scores(self.scores.with_pixels(own, copies))[:, class_index]

    def _looked_at(self, images, pixels):
        """What the method looks at in each picture: [B, ...]."""
        return pixels

    def _map(self, pixels, seen, score, ask):
        """One picture's map [h, w]; pixels [H, W, C], the class's score for it, and `ask` as `_asking` gives it."""
        raise NotImplementedError

    def _batches(self, count):
        """The numbers 0 to count - 1, as many at a time as the network is asked about."""
        return np.split(np.arange(count), range(self.batch_size, count, self.batch_size))


class Occlusion(_BlackBox):
    """`explain = Occlusion(model)`, then `explain(images, classes)`: float32 [B, H, W], signed.

    How far the score falls where a window of the picture is covered; where windows overlap, their mean.
    size: of the window, in pixels, int or (rows, columns); default: an eighth of the shorter side. stride: the pixels
    from one window to the next, likewise; default: half the window. fill: the value that covers, a number or one for
    each channel; default: the picture's mean colour. Cost: one forward pass a window and picture (225 with the
    defaults).
    score, output, input, errors: as for `GradCAM`; batch_size: how many copies at a time.
    Source: Zeiler and Fergus 2014, section 4.2; the mean over windows as in Captum.
    """

    def __init__(self, model, size=None, stride=None, fill=None, score=None, batch_size=32, **choice):
        super().__init__(model, score, batch_size, **choice)
        self.size, self.stride, self.fill = size, stride, fill

    def _map(self, pixels, seen, score, ask):
        size = np.broadcast_to(max(min(pixels.shape[:2]) // 8, 1) if self.size is None else self.size, 2)
        stride = np.broadcast_to(np.maximum(size // 2, 1) if self.stride is None else self.stride, 2)
        if not (np.all(size >= 1) and np.all(stride >= 1) and np.all(size <= pixels.shape[:2])):
            raise ValueError(f"size {size}, stride {stride}: at least 1, the window no larger than {pixels.shape[:2]}")
        counts = -(-(np.array(pixels.shape[:2]) - size) // stride) + 1  # the last one may reach over the edge
        corners = stride * np.stack(np.unravel_index(np.arange(counts.prod()), counts), axis=1)
        fill = pixels.mean(axis=(0, 1)) if self.fill is None else np.float32(self.fill)
        sides, falls, covered = [np.arange(side) for side in pixels.shape[:2]], 0.0, 0.0
        for batch in self._batches(len(corners)):
            after = [side - first[:, None] for side, first in zip(sides, corners[batch].T, strict=True)]
            rows, columns = ((some >= 0) & (some < length) for some, length in zip(after, size, strict=True))
            inside = rows[:, :, None] & columns[:, None, :]  # [n, H, W]
            falls += np.tensordot(score - ask(np.where(inside[..., None], fill, pixels)), inside, axes=1)
            covered += inside.sum(axis=0)
        return np.divide(falls, covered, out=np.zeros_like(covered, float), where=covered > 0)


class RISE(_BlackBox):
    """`explain = RISE(model)`, then `explain(images, classes)`: float32 [B, H, W], >= 0.

    The mean of random masks, each weighted with the class's probability for the picture seen through it, over the mean
    of the masks. masks: how many. cells: of the coarse grid they are made of, along each side of the picture (one more
    is drawn, for the random shift); each is left open with probability `keep`. seed: of the masks, the same ones for
    every picture and at every call. Covered pixels are 0. Cost: `masks` forward passes a picture. score, errors: as for
    `GradCAM` (it takes the place of the probability, and may be negative); batch_size: as for `Occlusion`. Source:
    Petsiuk et al. 2018, "RISE", equation (6); 7 cells, kept with 0.5, 4,000 masks or more there.
    """

    asked = Probabilities

    def __init__(self, model, masks=4000, cells=7, keep=0.5, seed=0, score=None, batch_size=32, **choice):
        super().__init__(model, score, batch_size, **choice)
        if min(masks, cells) < 1 or masks % 1 or cells % 1 or not 0 < keep <= 1:
            needed = "at least 1 mask and cell, whole numbers, and keep above 0, at most 1"
            raise ValueError(f"masks {masks}, cells {cells}, keep {keep}: {needed}")
        self.masks, self.cells, self.keep, self.seed = int(masks), int(cells), keep, seed

    def _map(self, pixels, seen, score, ask):
        rng, total = np.random.default_rng(self.seed), 0.0
        for batch in self._batches(self.masks):
            masks = self._masks(rng, len(batch), pixels.shape[:2])
            total += np.tensordot(ask(masks[..., None] * pixels), masks, axes=1)
        return total / (self.masks * self.keep)

    def _masks(self, rng, count, size):
        """Coarse grids, up-sampled bilinearly to one cell more than the picture and cut out at random: [n, H, W]."""
        cell = -(-np.array(size) // self.cells)
        coarse = rng.random((count, self.cells + 1, self.cells + 1)) < self.keep
        large, shifts = resize(coarse, (self.cells + 1) * cell), rng.integers(0, cell, (count, 2))
        return np.stack([one[y : y + size[0], x : x + size[1]] for one, (y, x) in zip(large, shifts, strict=True)])


class ScoreCAM(_BlackBox):
    """`explain = ScoreCAM(model)`, then `explain(images, classes)`: float32 [B, h, w], >= 0.

    Grad-CAM's sum over the feature map's channels with weights that need no gradient: the softmax over the channels
    of the score that the picture gets when it is seen through the channel, up-sampled and scaled to [0, 1].
    Cost: one forward pass for each channel and picture. layer, score, call, tokens, errors: as for `GradCAM`;
    batch_size: as for `Occlusion`.
    Source: Wang et al. 2020, "Score-CAM", algorithm 1 (its baseline's score drops out of the softmax).
    """

    def __init__(self, model, layer=None, score=None, batch_size=32, *, call=None, tokens=None, **choice):
        super().__init__(model, score, batch_size, **choice)
        self.features = _FeatureMaps(model, layer, score, call=call, tokens=tokens, **choice)

    def _looked_at(self, images, pixels):
        return self.features(images)

    def _map(self, pixels, seen, score, ask):
        channels = np.moveaxis(seen, -1, 0)  # [K, h, w]
        masks = (_unit(channels[some], pixels.shape[:2]) for some in self._batches(len(channels)))
        scores = np.concatenate([ask(some * pixels) for some in masks])
        weights = np.exp(scores - scores.max())
        return np.maximum(np.tensordot(weights / weights.sum(), channels, axes=1), 0)


class _FeatureMaps(GradCAM):
    """`explain(images)` -> the feature map that Grad-CAM weights, float32 [B, h, w, K]; no gradient is asked for."""

    def _maps(self, inputs, classes):
        traced, score, num_classes = self._traced_score(inputs, classes)
        place = self._place()
        path, feature_map = tracing.feature_map(traced, score, place, self._seen(inputs))
        feature_map = tracing.in_places(feature_map, place.tokens) if place.tokens else feature_map
        return Found(tf.cast(feature_map, tf.float32), num_classes, path)


def _unit(channels, size):
    """Maps [n, h, w] as masks [n, H, W, 1]: up-sampled, each scaled to [0, 1]; a constant one gives zeros."""
    large = resize(channels, size)
    low, high = (some(large, axis=(1, 2), keepdims=True) for some in (np.min, np.max))
    return np.divide(large - low, high - low, out=np.zeros_like(large), where=high > low)[..., None]
