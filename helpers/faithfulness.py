"""Which explanation to believe: scores for any explainer, each from its definition.

An explainer is any callable `explain(images, classes)` that gives maps [B, h, w] or [B, H, W, C]; no method is known
here by name. One rule turns every map into a `saliency` before it is scored, and no score depends on the map's scale.
Derived in notebook 10.
"""

import time

import numpy as np
import tensorflow as tf
from scipy import ndimage, stats

from helpers import gradcam, introspect


def saliency(maps, size=None):
    """Any maps as what is scored, float64 [B, H, W], >= 0: the absolute values, summed over the channels.

    maps: [B, h, w] or [B, H, W, C]. size: (H, W) to up-sample to, bilinear with half-pixel centres, after that sum.
    For the part that speaks for a class, give `np.maximum(maps, 0)`.
    Raises ValueError for other shapes and for values that are NaN or infinite.
    """
    maps = np.abs(np.asarray(maps, np.float64))
    if maps.ndim not in (3, 4):
        raise ValueError(f"maps: shape {maps.shape}; [B, h, w] or [B, H, W, C] is wanted")
    if not np.isfinite(maps).all():
        raise ValueError("maps: they hold NaN or infinite values, which have no place in an order")
    summed = maps.sum(axis=-1) if maps.ndim == 4 else maps
    if size is None or tuple(size) == summed.shape[1:]:
        return summed
    _, powers = np.frexp(summed.max(axis=(1, 2), keepdims=True))  # of two: `resize` computes in float32
    return np.ldexp(gradcam.resize(np.ldexp(summed, -powers), size).astype(np.float64), powers)


def pointing_game(maps, masks, tolerance=0):
    """Does the highest place of each map lie on the mask? float64 [B], 1 for a hit, 0 for a miss.

    maps: [B, h, w] or [B, H, W, C]; masks: bool [B, H, W]. Tied maxima give the expected value of choosing one of
    them by lot, so that a map without any maximum, all zeros, scores the mask's share of the picture. tolerance: in
    pixels, how far from the mask still counts (15 in the source). NaN where a mask is empty.
    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".
    """
    heat, masks = _with_masks(maps, masks)
    near = masks
    if tolerance:
        near = np.stack([ndimage.distance_transform_edt(~mask) <= tolerance for mask in masks])
    highest = heat == heat.max(axis=(1, 2), keepdims=True)
    hits = (highest & near).sum(axis=(1, 2)) / highest.sum(axis=(1, 2))
    return np.where(masks.any(axis=(1, 2)), hits, np.nan)


def energy_inside_mask(maps, masks):
    """The part of each map's saliency that lies on the mask: float64 [B] in [0, 1].

    maps: [B, h, w] or [B, H, W, C]; masks: bool [B, H, W]. A map of zeros prefers no place and scores what a uniform
    one does, the mask's share of the picture. NaN where a mask is empty.
    Source: Wang et al. 2020, "Score-CAM" (energy-based pointing game); with masks for boxes it is the relevance mass
    accuracy of Arras et al. 2022, "CLEVR-XAI". Both take positive maps; for signed ones, ours is the magnitude.
    """
    heat, masks = _with_masks(maps, masks)
    total = heat.sum(axis=(1, 2))
    inside = (heat * masks).sum(axis=(1, 2))
    shares = np.divide(inside, total, out=masks.mean(axis=(1, 2)), where=total > 0)
    return np.where(masks.any(axis=(1, 2)), shares, np.nan)


def energy_over_chance(maps, masks):
    """`energy_inside_mask` divided by the mask's share of the picture: 1 is what a uniform map has. float64 [B].

    Ours; it makes small and large masks comparable.
    """
    masks = _bool_masks(masks)
    return energy_inside_mask(maps, masks) / masks.mean(axis=(1, 2))


def times_chance(maps, masks):
    """How many times better than chance maps find their masks: {"hits", "energy"}, plain floats; 1 is chance.

    hits: how often the peak is on the mask (`pointing_game`), over the masks' mean share of the picture; energy: the
    median of `energy_over_chance`. maps, masks as there; masks that are empty raise ValueError.
    """
    masks = _bool_masks(masks)
    if not masks.any(axis=(1, 2)).all():
        raise ValueError("masks: some are empty; a map can only find what is in the picture: leave those out")
    return {"hits": float(pointing_game(maps, masks).mean() / masks.mean()),
            "energy": float(np.median(energy_over_chance(maps, masks)))}


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
    [1 - p, p] as `predict`. baselines: [B, H, W, C],
    `mean_colour(images)` or `blurred(images)`. Equal values follow each other in an order drawn once by lot, the same
    for all maps. ends: predict's scores of images and of baselines, two [B, N], which are the same for all maps.
    Returns fractions [steps + 1], (k / steps)², closer together where curves are steep, and curves, float64
    [B, steps + 1]. Source: Petsiuk et al. 2018, "RISE", causal metrics.
    """
    fractions, scores = _perturbed(predict, images, baselines, maps, steps, ends, batch_size)
    return fractions, _of_classes(scores, classes, whole=scores[:, 0])


def insertion_curve(predict, images, maps, classes, baselines, steps=10, ends=None, batch_size=32):
    """The class's score while the baseline turns into the picture, most salient pixels first. Large area: good map.

    Arguments, results and source as for `deletion_curve`; the source's baseline is `blurred(images)`.
    """
    ends = None if ends is None else ends[::-1]
    fractions, scores = _perturbed(predict, baselines, images, maps, steps, ends, batch_size)
    return fractions, _of_classes(scores, classes, whole=scores[:, -1])


def area(fractions, curves):
    """Area under curves [B, K] over fractions [K], by the trapezoidal rule: float64 [B]."""
    return np.trapezoid(curves, fractions, axis=-1)


def spearman(maps, others):
    """Rank correlation of each map with its counterpart: float64 [B] in [-1, 1], tied values sharing their mean rank.

    maps, others: [B, ...] of the same shape. A constant map has no order: 0 beside any other map, 1 beside another
    constant one. Source: Spearman 1904; the first similarity of Adebayo et al. 2018.
    """
    ranks = [stats.rankdata(np.reshape(some, (len(some), -1)), axis=1) for some in (maps, others)]
    first, second = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((first ** 2).sum(axis=1) * (second ** 2).sum(axis=1))
    both_constant = ((first == 0).all(axis=1) & (second == 0).all(axis=1)).astype(float)
    return np.divide((first * second).sum(axis=1), spread, out=both_constant, where=spread > 0)


def structural_similarity(maps, others):
    """SSIM of each map [B, h, w], >= 0, with its counterpart, both scaled to a maximum of 1: float64 [B].

    Windows of 11 x 11 (smaller on smaller maps), sigma 1.5.
    Source: Wang et al. 2004; the second similarity of Adebayo et al. 2018.
    """
    first, second = (gradcam.to_unit(some)[..., None] for some in (maps, others))
    return tf.image.ssim(first, second, 1.0, min(11, *first.shape[1:3])).numpy().astype(np.float64)


def model_randomisation(model, explain, images, classes, similarity=spearman, layers=None, seed=0):
    """How alike the maps stay while the model forgets, layer by layer from the top. Low: the map shows the model.

    explain: an explainer of `model`. classes: int or [B] ints, the same throughout (predicted ones would change with
    the weights: ValueError for None). layers: which ones and in which
    order, e.g. GCM's blocks; default: all that have weights, last executed first. Each forgets by having the entries
    of its weights shuffled, so their distribution stays (the source draws them anew); those above stay shuffled
    (cascading). similarity: of two saliencies [B, h, w] -> [B]. The weights are put back, also after an exception.
    Returns {layer's path: float64 [B]}. Source: Adebayo et al. 2018, "Sanity checks for saliency maps", section 3.
    """
    if classes is None:
        raise ValueError("classes: an int or one for each picture is wanted, e.g. those predicted before")
    original = saliency(explain_all(explain, images, classes))
    before = model.get_weights()
    rng, alike = np.random.default_rng(seed), {}
    try:
        for path, layer in _top_down(model, images, layers).items():
            layer.set_weights([rng.permutation(weight.ravel()).reshape(weight.shape) for weight in layer.get_weights()])
            alike[path] = similarity(original, saliency(explain_all(explain, images, classes)))
    finally:
        model.set_weights(before)
    return alike


def label_randomisation(explain, explain_shuffled, images, classes, similarity=spearman):
    """How alike the maps of a model are to those of its twin, trained on shuffled labels: float64 [B].

    explain, explain_shuffled: the same method on the one and on the other. Low: the map shows what was learned.
    Source: Adebayo et al. 2018, section 4.
    """
    return similarity(*(saliency(explain_all(one, images, classes)) for one in (explain, explain_shuffled)))


def completeness_gap(maps, scores):
    """How far each map's mean is from the score it claims to be made of, relative to that score: float64 [B].

    maps: [B, ...], signed; scores: [B]; for CAM the logit without the dense bias. Source: GCM paper, equation (3).
    """
    scores = np.asarray(scores, np.float64)
    gaps = np.abs(np.asarray(maps, np.float64).reshape(len(scores), -1).mean(axis=1) - scores)
    return np.divide(gaps, np.abs(scores), out=np.where(gaps > 0, np.inf, 0.0), where=scores != 0)


def time_in_forward_passes(explain, predict, images, classes, rounds=15):
    """What an explanation of `images` costs, in calls of predict(images): the median of interleaved rounds, float."""
    explain(images, classes), predict(images)  # whatever has to be traced is
    return float(np.median([_seconds(explain, images, classes) / _seconds(predict, images) for _ in range(rounds)]))


def bootstrap_interval(values, level=0.95, resamples=10_000, seed=0):
    """Percentile interval of the mean of values [B]: (low, high). To compare two methods, give their differences.

    Raises ValueError for NaN: leave out what has no score. Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise ValueError(f"values: shape {values.shape}, {np.isnan(values).sum()} of them NaN; one number a picture is "
                         "wanted: leave out pictures with an empty mask")
    means = np.random.default_rng(seed).choice(values, (resamples, len(values))).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def explain_all(explain, images, classes=None, batch_size=16):
    """explain(images, classes) for any number of pictures, a batch at a time; classes: int, [B] ints, or None.

    images: an array [B, H, W, C], or a model's own list, tuple or dict of inputs. Raises ValueError for no pictures.
    """
    length = len(tf.nest.flatten(images)[0])
    chosen = None if classes is None else np.broadcast_to(classes, length)
    return np.concatenate([explain(tf.nest.map_structure(lambda leaf, batch=batch: leaf[batch], images),
                                   None if classes is None else chosen[batch])
                           for batch in _batches(length, batch_size)])


def predict_all(predict, images, batch_size=32):
    """predict(images) for any number of pictures, a batch at a time: float64 [B, N]."""
    return np.concatenate([np.asarray(predict(images[batch]), np.float64)
                           for batch in _batches(len(images), batch_size)])


def _batches(length, batch_size):
    if not length:
        raise ValueError("images: an empty batch; at least one picture is wanted")
    return [slice(start, start + batch_size) for start in range(0, length, batch_size)]


def _with_masks(maps, masks):
    """Saliency in the masks' size, and the masks; the batches have to agree."""
    masks = _bool_masks(masks)
    heat = saliency(maps, masks.shape[1:])
    if len(heat) != len(masks):
        raise ValueError(f"masks: {len(masks)} for {len(heat)} maps; one mask a map is wanted")
    return heat, masks


def _bool_masks(masks):
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.ndim != 3:
        raise ValueError(f"masks: {masks.dtype} {masks.shape}; bool [B, H, W] is wanted, e.g. masks > 0.5")
    return masks


def _ranks(heat):
    """The place of each pixel in the order of heat [B, H, W], 0 for the highest: int32 [B, H, W]."""
    batch, pixels = len(heat), heat[0].size
    lot = np.random.default_rng(0).permutation(pixels)  # reading order would favour the top of the picture
    order = lot[np.argsort(-heat.reshape(batch, -1)[:, lot], axis=1, kind="stable")]
    ranks = np.empty((batch, pixels), np.int32)
    np.put_along_axis(ranks, order, np.arange(pixels, dtype=np.int32)[None], axis=1)
    return ranks.reshape(heat.shape)


def _perturbed(predict, start, end, maps, steps, ends, batch_size):
    """Fractions [steps + 1] and the scores [B, steps + 1, N] of `start` with that part of `end`'s pixels."""
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    if start.shape != end.shape or len(start) != len(maps) or steps < 2:
        raise ValueError(f"images and baselines {start.shape} and {end.shape}, {len(maps)} maps, {steps} steps; the "
                         "first two have to be the same [B, H, W, C], maps one a picture, steps at least 2")
    fractions, ranks = (np.arange(steps + 1) / steps) ** 2, _ranks(saliency(maps, start.shape[1:3]))
    counts = np.round(fractions[1:-1] * ranks[0].size)
    picture, step = (index.ravel() for index in np.indices((len(start), len(counts))))
    scores = []
    for batch in _batches(len(picture), batch_size):
        chosen = picture[batch]
        replaced = (ranks[chosen] < counts[step[batch], None, None])[..., None]
        scores.append(np.asarray(predict(np.where(replaced, end[chosen], start[chosen])), np.float64))
    inner = np.concatenate(scores).reshape(len(start), len(counts), -1)
    if ends is None:
        ends = [predict_all(predict, images, batch_size) for images in (start, end)]
    first, last = ends
    return fractions, np.concatenate([first[:, None], inner, last[:, None]], axis=1)


def _of_classes(scores, classes, whole):
    """Scores [B, K] of the wanted classes among scores [B, K, N]; those predicted in `whole` [B, N] for None."""
    chosen = whole.argmax(axis=-1) if classes is None else np.broadcast_to(classes, len(scores))
    if not ((chosen >= 0) & (chosen < scores.shape[-1])).all():
        raise ValueError(f"classes: {classes!r}; predict gives the classes 0 to {scores.shape[-1] - 1}")
    return np.take_along_axis(scores, chosen[:, None, None], axis=2)[..., 0]


def _top_down(model, images, layers):
    """{path: layer} of `layers`, or of all layers that hold weights themselves, the last executed first."""
    paths = introspect.layer_paths(model)
    if layers is not None:
        chosen = [introspect.find_layer(model, layer) for layer in layers]
        return {next(path for path, own in paths.items() if own is layer): layer for layer in chosen}
    calls = []
    record = tf.function(lambda inputs: calls.extend(introspect.trace(model, inputs).calls), autograph=False)
    record.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]], tf.float32))
    return {call.path: call.layer for call in reversed(calls) if call.path and _holds_weights(call.layer)}


def _holds_weights(layer):
    return bool(layer.weights) and not any(inner.weights for inner in layer._flatten_layers(include_self=False))


def _seconds(function, *arguments):
    started = time.perf_counter()
    np.asarray(function(*arguments))
    return time.perf_counter() - started
