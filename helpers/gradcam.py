"""Grad-CAM, CAM and class maps: which places of the last feature map speak for a class (blog, section 2)."""

import tensorflow as tf

from helpers import tracing
from helpers.maps import resize, to_unit
from helpers.tracing.explainer import Explainer, Found, wanted


class GradCAM(Explainer):
    """`explain = GradCAM(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, >= 0.

    layer: whose feature map to weight: a layer, its name, or "outer/inner" for one in a sub-model; default: the last
    4-D feature map after its ReLU that has several places and is not the model's output. score: for models that are no
    classifiers, f(outputs) -> [B]. Maps are neither up-sampled nor normalised: see `resize` and `to_unit`. `layer_path`
    names the layer that was used, or the operator as TensorFlow calls it.
    output, input: which of several outputs and pictures, by name or number. call: which call of a shared layer, counted
    from 0 as they were written; default: the last. A network for signals [B, T, C] gives maps [B, t]. tokens: (rows,
    columns), how the tokens [B, T, K] of a Vision Transformer lie in the picture, with or without a class token before
    them: maps [B, rows, columns]. For example
    `GradCAM(two_headed, output="species")(images, 3)`; `GradCAM(siamese, input="left")([left, right])`;
    `GradCAM(siamese, "encoder", call=0)([left, right])`; `GradCAM(vit, tokens=(14, 14))(images)`;
    `GradCAM(ecg)(signals)`, for which `to_unit(maps[..., None])` scales each map by itself.
    Two scores from notebook 06, the log-probability of a caption's word and an answer rather than another:
    `GradCAM(captioner, score=lambda log_probs: log_probs[:, place - 1, word])` and
    `GradCAM(answerer, score=lambda scores: scores[:, yes] - scores[:, no])`.
    Source: Selvaraju et al. 2017, equations (1) and (2); the blog's too. Derived in notebook 03.
    """

    def __init__(self, model, layer=None, score=None, *, output=None, input=None, call=None, tokens=None):
        super().__init__(model, score, output, input)
        self.place = tracing.place(model, layer, call, tokens)

    def _maps(self, inputs, classes):
        traced, score, num_classes = self._traced_score(inputs, classes)
        maps, path = grad_cam(traced, score, self.place, self._seen(inputs))
        return Found(maps, num_classes, path)


def grad_cam(traced, score, place, seen):
    """Both equations: symbolic maps [B, h, w], >= 0, of a symbolic score [B], and the weighted layer's path.

    place, seen: as for `tracing.feature_map`. A map [B, T, K] gives [B, T], or with tokens [B, rows, columns].
    """
    path, feature_map = tracing.feature_map(traced, score, place, seen)
    gradient, values = tracing.gradient(score, feature_map), tf.cast(feature_map, tf.float32)
    if place.tokens:
        gradient, values = (tracing.in_places(tensor, place.tokens) for tensor in (gradient, values))
    weights = tf.reduce_mean(gradient, axis=range(1, gradient.shape.rank - 1))  # equation (1): [B, K]
    maps = tf.einsum("b...k,bk->b...", values, weights)  # equation (2): [B, h, w]
    return tf.nn.relu(maps), path


class CAM(Explainer):
    """`explain = CAM(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, signed.

    For networks that end in global average pooling and one dense layer, whose weights are the weights of the maps;
    a map's mean plus the dense bias is the logit. output: as for `GradCAM`. Raises ValueError for other networks: use
    `GradCAM`.
    Source: Zhou et al. 2016, equation (2).
    """

    def __init__(self, model, output=None):
        super().__init__(model, output=output)

    def _maps(self, inputs, classes):
        traced = self._trace(inputs)
        feature_map, dense = tracing.pooled_feature_map(traced, before_dense=True)
        kernel = tracing.both_classes(tf.cast(dense.kernel, tf.float32))  # [K, N]
        logits = tracing.logits(traced.outputs, self._examples)
        weights = tf.gather(tf.transpose(kernel), wanted(logits, classes))
        return Found(tf.einsum("bhwk,bk->bhw", tf.cast(feature_map, tf.float32), weights), logits.shape[-1])


class ClassMaps(Explainer):
    """`explain = ClassMaps(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, signed.

    For networks whose last convolution gives one map a class and whose logits are the maps' global averages: the map
    of the class itself. output: as for `GradCAM`. Raises ValueError for other networks: use `CAM` or `GradCAM`.
    Source: Lin et al. 2014, "Network in network", section 3.2.
    """

    def __init__(self, model, output=None):
        super().__init__(model, output=output)

    def _maps(self, inputs, classes):
        traced = self._trace(inputs)
        feature_map, _ = tracing.pooled_feature_map(traced, before_dense=False)
        maps = tracing.both_classes(tf.cast(feature_map, tf.float32))
        logits = tracing.logits(traced.outputs, self._examples)
        return Found(tf.gather(maps, wanted(logits, classes), axis=-1, batch_dims=1), logits.shape[-1])
