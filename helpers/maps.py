"""What is done to any map: up-sampling, scaling, and the one form in which maps are scored."""

import numpy as np
import tensorflow as tf


def saliency(maps, size=None):
    """Any maps as what is scored, float64 [B, H, W], >= 0: the absolute values, summed over the channels.

    maps: [B, h, w] or [B, H, W, C]. size: (H, W) to up-sample to, bilinear with half-pixel centres, after that sum.
    For the evidence for a class alone, give `np.maximum(maps, 0)`.
    Raises ValueError for other shapes and for values that are NaN or infinite.
    """
    maps = np.abs(np.asarray(maps, np.float64))
    if maps.ndim not in (3, 4):
        raise ValueError(f"maps: shape {maps.shape}; expected [B, h, w] or [B, H, W, C]")
    if not np.isfinite(maps).all():
        raise ValueError("maps: they hold NaN or infinite values, which cannot be ranked")
    summed = maps.sum(axis=-1) if maps.ndim == 4 else maps
    if size is None or tuple(size) == summed.shape[1:]:
        return summed
    _, powers = np.frexp(summed.max(axis=(1, 2), keepdims=True))  # of two: `resize` computes in float32
    return np.ldexp(resize(np.ldexp(summed, -powers), size).astype(np.float64), powers)


def resize(maps, size):
    """Up-sample maps [B, h, w] (or one [h, w]) to `size` = (H, W): bilinear, half-pixel centres. float32 [B, H, W].

    Raises ValueError for another shape of maps.
    """
    return tf.image.resize(_as_maps(maps)[..., None], size)[..., 0].numpy()


def to_unit(maps):
    """Maps [B, h, w] (or one [h, w]) scaled to [0, 1], each by its own maximum; float32.

    Values below zero become zero; a map without any value above zero, or with one that is not finite, becomes all
    zeros. Raises ValueError for another shape of maps.
    """
    positive = np.maximum(_as_maps(maps), 0)
    highest = positive.max(axis=(-2, -1), keepdims=True)
    return np.divide(positive, highest, out=np.zeros_like(positive), where=(highest > 0) & np.isfinite(highest))


def _as_maps(maps):
    maps = np.asarray(maps, np.float32)
    if maps.ndim not in (2, 3):
        advice = "of a gradient [B, H, W, C] take numpy.abs(gradient).sum(-1)"
        raise ValueError(f"maps: shape {maps.shape}; expected [B, h, w] or one [h, w] ({advice})")
    return maps
