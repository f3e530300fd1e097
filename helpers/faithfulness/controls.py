"""Controls: explainers that have never seen the network. A map has to beat theirs before it means anything.

They keep the explainers' contract, `explain(images, classes=None)`: float32 images [B, H, W, C] -> float32 [B, H, W].
"""

import numpy as np
import tensorflow as tf


def centred_blob(images, classes=None):
    """The same Gaussian in the middle of every picture, sigma a quarter of the side. float32 [B, H, W].

    Zhang et al. 2018 call it "center". Photographers put their subject there.
    """
    height, width = images.shape[1:3]
    rows, columns = (np.exp(-0.5 * (np.linspace(-2, 2, n) ** 2)) for n in (height, width))
    return np.broadcast_to(np.outer(rows, columns).astype(np.float32), (len(images), height, width))


def edge_detector(images, classes=None):
    """The Sobel gradient's magnitude of the mean over the channels. float32 [B, H, W].

    Adebayo et al. 2018, section 5, found it easy to mistake for an explanation.
    """
    grey = np.asarray(images, np.float32).mean(axis=-1, keepdims=True)
    return np.linalg.norm(tf.image.sobel_edges(tf.constant(grey))[..., 0, :], axis=-1)


def brightness(images, classes=None):
    """The picture's own brightness, the mean over the channels. float32 [B, H, W].

    What every map of the form weight x pixel, GCM's for one, shows even with random weights.
    """
    return np.asarray(images, np.float32).mean(axis=-1)


def random_map(images, classes=None):
    """Uniform random numbers in [0, 1), other ones for each picture of a batch, the same ones at each call."""
    return np.random.default_rng(0).random(images.shape[:3], np.float32)
