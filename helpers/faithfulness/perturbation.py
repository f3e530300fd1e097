"""What the class's score does while the pixels a map marks are changed: deletion and insertion."""

import numpy as np
import tensorflow as tf
from scipy import ndimage

from helpers.faithfulness.randomisation import spearman
from helpers.maps import saliency, to_unit
from helpers.tracing.explainer import class_vector
from helpers.training.batches import predict_all, slices


def mean_colour(images):
    """Baseline for `deletion_curve`: each picture [B, H, W, C] as its own mean colour everywhere."""
    images = np.asarray(images)
    return np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)


def blurred(images, sigma=None):
    """Baseline for `insertion_curve`: pictures [B, H, W, C] under a Gaussian blur.

    sigma: in pixels, a sixteenth of the shorter side by default; RISE takes 5 of 224, which leaves textures readable.
    """
    sigma = min(images.shape[1:3]) / 16 if sigma is None else sigma
    return ndimage.gaussian_filter(np.asarray(images), (0, sigma, sigma, 0), mode="nearest")


def deletion_curve(predict, images, maps, classes, baselines, steps=10, ends=None, batch_size=32):
    """The class's score while the picture turns into its baseline, most salient pixels first. Small area: good map.

    predict: f(float32 [b, H, W, C]) -> [b, N], best compiled; probabilities in the source. maps: [B, h, w] or
    [B, H, W, C]. classes: int, [B] ints, or None for the one predicted for the whole picture; of a single unit p give
    [1 - p, p] as `predict`. baselines: [B, H, W, C], `mean_colour(images)` or `blurred(images)`. Equal values follow
    each other in one random order, the same for all maps. ends: predict's scores of images and of baselines,
    two [B, N], which are the same for all maps.
    Returns fractions [steps + 1], (k / steps)², closer together where curves are steep, and curves, float64
    [B, steps + 1]. Source: Petsiuk et al. 2018, "RISE", causal metrics.
    """
    return _curve(predict, images, baselines, maps, classes, steps, ends, batch_size, picture_step=0)


def insertion_curve(predict, images, maps, classes, baselines, steps=10, ends=None, batch_size=32):
    """The class's score while the baseline turns into the picture, most salient pixels first. Large area: good map.

    Arguments, results and source as for `deletion_curve`; the source's baseline is `blurred(images)`.
    """
    ends = None if ends is None else ends[::-1]
    return _curve(predict, baselines, images, maps, classes, steps, ends, batch_size, picture_step=-1)


def drop_and_increase(predict, images, maps, classes, batch_size=32):
    """What the class loses when only what the map shows is left of the picture: (drop, increase), float64 [B] each.

    predict, maps, classes: as for `deletion_curve`. Each picture is multiplied by its map, up-sampled and scaled to
    [0, 1], so that what is not shown turns black. drop: the lost part of the class's probability, 0 where it rose or
    was 0; increase: 1 where it rose. Their means are the source's "average drop" (low is good) and "increase in
    confidence".
    Source: Chattopadhay et al. 2018, "Grad-CAM++", section 4.1.
    """
    images = np.asarray(images, np.float32)
    seen = images * to_unit(heat_of(maps, images))[..., None]
    before, after = (predict_all(predict, some, batch_size) for some in (images, seen))
    before, after = of_classes(np.stack([before, after], axis=1), classes, before).T
    lost = np.divide(np.maximum(before - after, 0), before, out=np.zeros_like(before), where=before > 0)
    return lost, (after > before).astype(float)


def occlusion_correlation(maps, occluded, cells=16):
    """Are the places a map marks those whose covering lowers the score? Rank correlation, float64 [B] in [-1, 1].

    maps: [B, h, w] or [B, H, W, C]; occluded: `Occlusion`'s maps of the same pictures, [B, H, W], signed. Both are
    averaged over cells x cells squares, for a covered window says nothing about single pixels.
    Source: Selvaraju et al. 2017, "Grad-CAM", section 5.3, the faithfulness test.
    """
    occluded = np.asarray(occluded, np.float32)
    both = np.asarray(saliency(maps, occluded.shape[1:3]), np.float32), occluded
    return spearman(*(tf.image.resize(some[..., None], (cells, cells), "area").numpy() for some in both))


def area(fractions, curves):
    """Area under curves [B, K] over fractions [K], by the trapezoidal rule: float64 [B]."""
    return np.trapezoid(curves, fractions, axis=-1)


def heat_of(maps, images):
    """How strong maps are at every pixel, [B, H, W], one map for each picture. ValueError for another number."""
    if len(maps) != len(images):
        raise ValueError(f"maps: {len(maps)} for {len(images)} pictures; expected one for each")
    return saliency(maps, images.shape[1:3])


def removal_order(heat):
    """The place of each pixel in the order of heat [B, H, W], 0 for the highest: int32 [B, H, W]."""
    flat = heat.reshape(len(heat), -1)
    lot = np.random.default_rng(0).permutation(flat.shape[1])  # reading order would favour the top of the picture
    order = lot[np.argsort(-flat[:, lot], axis=1, kind="stable")]
    ranks = np.empty(flat.shape, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks.reshape(heat.shape)


def _curve(predict, start, end, maps, classes, steps, ends, batch_size, picture_step):
    """Fractions, and the classes' scores while that part of `start`'s pixels is replaced by `end`'s.

    picture_step: at which step the whole picture is seen, 0 or -1.
    """
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    if start.shape != end.shape or len(start) != len(maps) or steps < 2:
        wanted = "the first two have to be the same [B, H, W, C], one map per picture, steps at least 2"
        given = f"images and baselines {start.shape} and {end.shape}, {len(maps)} maps, {steps} steps"
        raise ValueError(f"{given}; {wanted}")
    fractions, ranks = (np.arange(steps + 1) / steps) ** 2, removal_order(saliency(maps, start.shape[1:3]))
    counts = np.round(fractions[1:-1] * ranks[0].size)
    picture, step = (index.ravel() for index in np.indices((len(start), len(counts))))

    def score(batch):
        chosen = picture[batch]
        replaced = (ranks[chosen] < counts[step[batch], None, None])[..., None]
        return np.asarray(predict(np.where(replaced, end[chosen], start[chosen])), np.float64)

    inner = np.concatenate([score(batch) for batch in slices(len(picture), batch_size)])
    first, last = [predict_all(predict, some, batch_size) for some in (start, end)] if ends is None else ends
    inner = inner.reshape(len(start), len(counts), -1)
    scores = np.concatenate([first[:, None], inner, last[:, None]], axis=1)  # [B, steps + 1, N]
    return fractions, of_classes(scores, classes, scores[:, picture_step])


def of_classes(scores, classes, whole):
    """Of scores [B, K, N] those of each picture's class: float64 [B, K]. classes: None for the likeliest in [B, N]."""
    classes = whole.argmax(axis=-1) if classes is None else classes
    chosen = class_vector(classes, len(scores), scores.shape[-1], "predict gives the classes")
    return np.take_along_axis(scores, chosen[:, None, None], axis=2)[..., 0].astype(float)
