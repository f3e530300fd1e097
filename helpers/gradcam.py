"""Grad-CAM, CAM and class maps: which places of the last feature map support a class (blog, section 2)."""

import functools

import tensorflow as tf

from helpers import tracing
from helpers.maps import resize, to_unit
from helpers.tracing.explainer import Explainer, Found, chosen_or_predicted


class GradCAM(Explainer):
    """`explain = GradCAM(model)`, then `maps = explain(images, classes)`: float32 [B, h, w], raw, >= 0.

    layer: whose feature map to weight: a layer, its name, or "outer/inner" for one in a sub-model; default: the last
    4-D feature map after its ReLU that has several places and is not the model's output. score: for models that are no
    classifiers, f(outputs) -> [B]. Maps are neither up-sampled nor normalised: see `resize` and `to_unit`. `layer_path`
    names the layer that was used, or the operator as TensorFlow calls it.
    output, input: which of several outputs and pictures, by name or number. call: which call of a shared layer, counted
    from 0 as they were written; default: the last. A network for signals [B, T, C] gives maps [B, t]. tokens: (rows,
    columns), how the tokens [B, T, K] of a Vision Transformer lie in the picture, with up to two more before them, the
    class and the distillation token: maps [B, rows, columns]. For example
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
        self._place = functools.partial(tracing.place, model, layer, call, tokens)  # in the model as it is then
        self._place()  # for its errors

    def _maps(self, inputs, classes):
        traced, score, num_classes = self._traced_score(inputs, classes)
        path, feature_map, gradient = map_and_gradient(traced, score, self._place(), self._seen(inputs))
        return Found(self.combine(feature_map, gradient), num_classes, path)

    @staticmethod
    def combine(feature_map, gradient):
        """Both equations: maps [B, h, w] of a feature map and the score's gradient on it, [B, h, w, K] each."""
        weights = tf.reduce_mean(gradient, axis=_places(gradient))  # equation (1): [B, K]
        return tf.nn.relu(_weighted_sum(feature_map, weights))  # equation (2)


def map_and_gradient(traced, score, place, seen):
    """The weighted layer's path, its symbolic feature map and the gradient on it, float32 [B, h, w, K] both.

    score: symbolic [B]; place, seen: as for `tracing.feature_map`. A map [B, T, K] stays one, but for tokens.
    """
    path, feature_map = tracing.feature_map(traced, score, place, seen)
    both = tf.cast(feature_map, tf.float32), tracing.gradient(score, feature_map)
    return path, *(tracing.in_places(tensor, place.tokens) if place.tokens else tensor for tensor in both)


class GradCAMPlusPlus(GradCAM):
    """`explain = GradCAMPlusPlus(model)`: as `GradCAM`, but a channel's weight sums its positive gradients.

    All derivatives are those of exp(score), without their common factor exp(score). Made for several objects of the
    class in one picture. Source: Chattopadhay et al. 2018, "Grad-CAM++", equations (5), (6) and (19).
    """

    @staticmethod
    def combine(feature_map, gradient):
        summed = tf.reduce_sum(feature_map, axis=_places(gradient), keepdims=True)
        share = tf.math.divide_no_nan(gradient**2, 2 * gradient**2 + summed * gradient**3)
        return tf.nn.relu(_weighted_sum(feature_map, tf.reduce_sum(share * tf.nn.relu(gradient), _places(gradient))))


class XGradCAM(GradCAM):
    """`explain = XGradCAM(model)`: as `GradCAM`, float32 [B, h, w], but signed.

    A channel's weight is the mean of its gradient over the places, each place counted by the channel's value there.
    Where the score is the sum of feature map times gradient, a map adds up to it. Source: Fu et al. 2020, "Axiom-based
    Grad-CAM", equation (8).
    """

    @staticmethod
    def combine(feature_map, gradient):
        sums = (tf.reduce_sum(values, axis=_places(gradient)) for values in (gradient * feature_map, feature_map))
        return _weighted_sum(feature_map, tf.math.divide_no_nan(*sums))


class HiResCAM(GradCAM):
    """`explain = HiResCAM(model)`: as `GradCAM`, float32 [B, h, w], but signed, and without the mean over places.

    Each place is weighted by its own gradient. If only linear layers follow the feature map, a map adds up to the logit
    without the biases. Source: Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM", equation (5).
    """

    @staticmethod
    def combine(feature_map, gradient):
        return tf.reduce_sum(feature_map * gradient, axis=-1)


class LayerCAM(GradCAM):
    """`explain = LayerCAM(model)`: as `GradCAM`, but each place is weighted by its own gradient where it is positive.

    Made for the finer maps of earlier layers. Source: Jiang et al. 2021, "LayerCAM", equations (3) and (4).
    """

    @staticmethod
    def combine(feature_map, gradient):
        return tf.nn.relu(tf.reduce_sum(feature_map * tf.nn.relu(gradient), axis=-1))


def _places(tensor):
    """The axes of a map [B, h, w, K] or [B, T, K] along which its places lie."""
    return range(1, tensor.shape.rank - 1)


def _weighted_sum(feature_map, weights):
    """Maps [B, h, w] of a feature map [B, h, w, K] and its channels' weights [B, K]."""
    return tf.einsum("b...k,bk->b...", feature_map, weights)


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
        weights = tf.gather(tf.transpose(kernel), chosen_or_predicted(logits, classes))
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
        chosen = chosen_or_predicted(logits, classes)
        return Found(tf.gather(maps, chosen, axis=-1, batch_dims=1), logits.shape[-1])
