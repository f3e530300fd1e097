"""Does a map lie where it should? Scores against masks, each from its definition."""

import numpy as np
from scipy import ndimage

from helpers.maps import saliency


def pointing_game(maps, masks, tolerance=0):
    """Does the highest place of each map lie on the mask? float64 [B], 1 for a hit, 0 for a miss.

    maps: [B, h, w] or [B, H, W, C]; masks: bool [B, H, W]. Tied maxima give the expected value of choosing one of
    them at random, so that a map without any maximum, all zeros, scores the mask's share of the picture. tolerance: in
    pixels, how far from the mask still counts (15 in the source). NaN where a mask is empty.
    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".
    """
    heat, masks = _with_masks(maps, masks)
    near = [ndimage.distance_transform_edt(~mask) <= tolerance for mask in masks] if tolerance else masks
    highest = heat == heat.max(axis=(1, 2), keepdims=True)
    hits = (highest & near).sum(axis=(1, 2)) / highest.sum(axis=(1, 2))
    return np.where(masks.any(axis=(1, 2)), hits, np.nan)


def energy_inside_mask(maps, masks):
    """The part of each map's saliency that lies on the mask: float64 [B] in [0, 1].

    maps: [B, h, w] or [B, H, W, C]; masks: bool [B, H, W]. A map of zeros scores what a uniform one does, the
    mask's share of the picture. NaN where a mask is empty.
    Source: Wang et al. 2020, "Score-CAM" (energy-based pointing game); with masks for boxes it is the relevance mass
    accuracy of Arras et al. 2022, "CLEVR-XAI". Both take positive maps; for signed ones, ours is the magnitude.
    """
    heat, masks = _with_masks(maps, masks)
    inside, total = (heat * masks).sum(axis=(1, 2)), heat.sum(axis=(1, 2))
    shares = np.divide(inside, total, out=masks.mean(axis=(1, 2)), where=total > 0)
    return np.where(masks.any(axis=(1, 2)), shares, np.nan)


def energy_over_chance(maps, masks):
    """`energy_inside_mask` divided by the mask's share of the picture: 1 is what a uniform map has. float64 [B].

    Ours; it makes small and large masks comparable.
    """
    return energy_inside_mask(maps, masks) / np.mean(masks, axis=(1, 2))


def times_chance(maps, masks):
    """How many times better than chance maps find their masks: {"hits", "energy"}, plain floats; 1 is chance.

    hits: how often the peak is on the mask (`pointing_game`), over the masks' mean share of the picture; energy: the
    median of `energy_over_chance`. maps, masks as there; masks that are empty raise ValueError.
    """
    hits, energy = pointing_game(maps, masks), energy_over_chance(maps, masks)
    if np.isnan(hits).any():
        raise ValueError("masks: some are empty; a map can only find what is in the picture: leave those out")
    return {"hits": float(hits.mean() / np.mean(masks)), "energy": float(np.median(energy))}


def _with_masks(maps, masks):
    """Saliency in the masks' size, and the masks as an array; the batches have to agree."""
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.ndim != 3:
        raise ValueError(f"masks: {masks.dtype} {masks.shape}; expected bool [B, H, W], e.g. masks > 0.5")
    heat = saliency(maps, masks.shape[1:])
    if len(heat) != len(masks):
        raise ValueError(f"masks: {len(masks)} for {len(heat)} maps; expected one mask per map")
    return heat, masks


def box_overlap(maps, masks, threshold=0.15):
    """How well the box around each map's largest bright segment fits its object's: intersection over union, [B].

    maps: [B, h, w] or [B, H, W, C]; masks: bool [B, H, W], boxed likewise by their outermost pixels. Bright is what
    reaches `threshold` times the map's maximum; a segment's pixels touch at their sides. float64 in [0, 1]; 0 for a
    map of zeros, NaN where a mask is empty. Source: Selvaraju et al. 2017, "Grad-CAM", section 4.1.
    """
    heat, masks = _with_masks(maps, masks)
    bright = (heat >= threshold * heat.max(axis=(1, 2), keepdims=True)) & (heat > 0)
    return np.array([_overlap(_largest_segment(some), mask) for some, mask in zip(bright, masks, strict=True)])


def _largest_segment(bright):
    segments, count = ndimage.label(bright)
    return segments == (1 + np.argmax(np.bincount(segments[bright])[1:]) if count else -1)


def _overlap(segment, mask):
    """Intersection over union of the boxes around two bool [H, W]."""
    if not mask.any():
        return np.nan
    boxes = np.zeros((2, *mask.shape), bool)
    for box, some in zip(boxes, (segment, mask), strict=True):
        for place in ndimage.find_objects(some.astype(int)):
            box[place] = True
    return boxes.all(axis=0).sum() / boxes.any(axis=0).sum()
