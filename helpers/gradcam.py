"""Grad-CAM, CAM and class maps: which places of the last feature map speak for a class (blog, section 2)."""

import numpy as np
import tensorflow as tf

from helpers import introspect
from helpers.explainer import Explainer


class GradCAM(Explainer):
    """`explain = GradCAM(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, >= 0.

    layer: whose feature map to weight: a layer, its name, or "outer/inner" for one in a sub-model; default: the last
    4-D feature map after its ReLU. score: for models that are no classifiers, f(outputs) -> [B]. Maps are neither
    up-sampled nor normalised: see `resize` and `to_unit`. After a call, `layer_path` names the layer that was used.
    Two scores from notebook 06, the log-probability of a caption's word and an answer rather than another:
    `GradCAM(captioner, score=lambda log_probs: log_probs[:, place - 1, word])` and
    `GradCAM(answerer, score=lambda scores: scores[:, yes] - scores[:, no])`.
    Source: Selvaraju et al. 2017, equations (1) and (2); the blog's too. Derived in notebook 03.
    """

    def __init__(self, model, layer=None, score=None):
        super().__init__(model, score)
        self.layer = None if layer is None else introspect.find_layer(model, layer)

    def _maps(self, inputs, classes):
        traced = introspect.trace(self.model, inputs)
        return self._weighted(traced, self._scores(traced.outputs, classes))

    def _weighted(self, traced, score):
        self.layer_path, feature_map = introspect.feature_map(traced, score, self.layer)
        gradient = introspect.gradient(score, feature_map)
        feature_map = tf.cast(feature_map, tf.float32)
        weights = tf.reduce_mean(gradient, axis=(1, 2))                     # equation (1): [B, K]
        return tf.nn.relu(tf.einsum("bhwk,bk->bhw", feature_map, weights))  # equation (2): [B, h, w]


class CAM(Explainer):
    """`explain = CAM(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, signed.

    For networks that end in global average pooling and one dense layer, whose weights are the weights of the maps;
    a map's mean plus the dense bias is the logit. Raises ValueError for other networks: use `GradCAM`.
    Source: Zhou et al. 2016, equation (2).
    """

    def __init__(self, model):
        super().__init__(model)

    def _maps(self, inputs, classes):
        traced = introspect.trace(self.model, inputs)
        feature_map, dense = introspect.pooled_feature_map(traced)
        kernel = introspect.both_classes(tf.cast(dense.kernel, tf.float32))  # [K, N]
        weights = tf.gather(tf.transpose(kernel), self._wanted(traced.outputs, classes))
        return tf.einsum("bhwk,bk->bhw", tf.cast(feature_map, tf.float32), weights)


class ClassMaps(Explainer):
    """`explain = ClassMaps(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, signed.

    For networks whose last convolution gives one map a class and whose logits are the maps' global averages: the map
    of the class itself. Raises ValueError for other networks: use `CAM` or `GradCAM`.
    Source: Lin et al. 2014, "Network in network", section 3.2.
    """

    def __init__(self, model):
        super().__init__(model)

    def _maps(self, inputs, classes):
        traced = introspect.trace(self.model, inputs)
        maps = introspect.both_classes(tf.cast(introspect.class_feature_map(traced), tf.float32))
        return tf.gather(maps, self._wanted(traced.outputs, classes), axis=-1, batch_dims=1)


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
        raise ValueError(f"maps: shape {maps.shape}; [B, h, w] or one [h, w] is wanted (of a gradient [B, H, W, C] "
                         "take numpy.abs(gradient).sum(-1))")
    return maps
