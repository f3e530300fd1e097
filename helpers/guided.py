"""Gradients on the picture: plain, deconvnet, guided backpropagation, and Guided Grad-CAM (blog, section 2)."""

import functools

import tensorflow as tf

from helpers import tracing
from helpers.gradcam import GradCAM, map_and_gradient
from helpers.tracing.explainer import Explainer, Found
from helpers.tracing.relus import SwappedReLUs


def deconvnet_rule(passed, gradient):
    """Pass where the gradient from above is positive, whatever the input was (Zeiler and Fergus 2014)."""
    return tf.where(gradient <= 0, tf.zeros_like(gradient), gradient)  # a NaN passes, so that it is seen


def guided_rule(passed, gradient):
    """Pass where both the ReLU's input and the gradient from above are positive (Springenberg et al. 2015)."""
    return tf.where(passed, deconvnet_rule(passed, gradient), 0)


class Gradient(Explainer):
    """`explain = Gradient(model)`, then `explain(images, classes)`: d score / d picture, float32 [B, H, W, C], signed.

    score: for models that are no classifiers, f(outputs) -> [B]. A model may have further inputs (words, a question);
    the gradient is the one on its picture; without a picture on its signal [B, T, C], in that shape. output, input:
    which of several outputs and pictures, by name or number, as in
    `Gradient(model, output="species", input="left")([left, right], 3)`. Source: Simonyan et al. 2014.
    """

    def _maps(self, inputs, classes):
        _, score, num_classes = self._traced_score(inputs, classes)
        return Found(tracing.gradient(score, self._picture(inputs)), num_classes)


class _Swapped(Explainer):
    """A gradient on the picture with `rule` at every ReLU."""

    rule = None

    def __init__(self, model, score=None, relus_in=None, *, output=None, input=None):
        super().__init__(model, score, output, input)
        self._relus_in = functools.partial(tracing.find_layer, model, relus_in) if relus_in else lambda: model
        self._relus_in()  # for its errors

    def _maps(self, inputs, classes):
        relus = SwappedReLUs(self._relus_in())
        traced, score, num_classes = self._traced_score(inputs, classes, relus.replacements)
        gradient = relus.gradient(traced, score, self._picture(inputs), type(self).rule)
        return self._found(gradient, num_classes, traced, score)

    def _found(self, gradient, num_classes, traced, score):
        return Found(gradient, num_classes)


class Deconvnet(_Swapped):
    """`explain = Deconvnet(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Every ReLU, the dense ones included, passes the gradient where it is positive. relus_in: only the ReLUs of this
    layer or sub-model (itself, its name, or "outer/inner"); default: all. score, output, input: as for `Gradient`.
    Raises ValueError if no ReLU lies between picture and score, or one that is a bare function and cannot be swapped
    (one spelled out as maximum(x, 0) is not recognised and keeps its own gradient).
    Source: Zeiler and Fergus 2014.
    """

    rule = deconvnet_rule


class GuidedBackprop(_Swapped):
    """`explain = GuidedBackprop(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Every ReLU, the dense ones included, passes the gradient where both it and the ReLU's input are positive.
    relus_in, score, output, input, errors: as for `Deconvnet`. Source: Springenberg et al. 2015. Derived in
    notebook 04.
    """

    rule = guided_rule


class GuidedGradCAM(GuidedBackprop):
    """`explain = GuidedGradCAM(model)`, then `explain(images, classes)`: float32 [B, H, W, C], signed.

    Guided backpropagation times the Grad-CAM map, which is up-sampled bilinearly (half-pixel centres) and not
    normalised. One forward pass serves both. relus_in, errors: as for `Deconvnet`; all else: as for `GradCAM`, as in
    `GuidedGradCAM(siamese, input="left")([left, right])` and `GuidedGradCAM(vit, tokens=(14, 14))(images)`.
    Source: Selvaraju et al. 2017, section 3.2; blog, section 2. Derived in notebook 04.
    """

    def __init__(
        self, model, layer=None, score=None, relus_in=None, *, output=None, input=None, call=None, tokens=None
    ):
        super().__init__(model, score, relus_in, output=output, input=input)
        self._place = functools.partial(tracing.place, model, layer, call, tokens)  # in the model as it is then
        self._place()  # for its errors

    def _found(self, gradient, num_classes, traced, score):
        path, *both = map_and_gradient(traced, score, self._place(), self._seen(traced.inputs))
        maps = GradCAM.combine(*both)
        if maps.shape.rank == 3 and gradient.shape.rank < 4 and not _over_a_grid(maps.shape, gradient.shape):
            given = f"maps {maps.shape[1:]}, and the signal is {gradient.shape[1:]}"
            raise ValueError(f"layer: {path!r} gives {given}: a spectrogram does not lie over it; use GradCAM")
        return Found(gradient * _up_sampled(maps, gradient), num_classes, path)


def _over_a_grid(maps, given):
    """Whether maps [B, h, w] can lie over an input [B, T, C] as over a picture: no columns come from nowhere."""
    if given.rank < 3:
        return False
    (_, height, width), (_, rows, columns) = maps, given
    return None in (height, width, rows, columns) or width <= columns or height > rows


def _up_sampled(maps, gradient):
    """Maps [B, h, w] or [B, t] with as many places as the gradient [B, H, W, C] or [B, T, C], and an axis for C."""
    places, shape = maps.shape.rank - 1, tf.shape(gradient)
    pictures = maps[..., None] if places == 2 else maps[..., None, None]  # a signal is a picture one column wide
    sizes = shape[1:3] if places == 2 else [shape[1], 1]
    one_channel = tf.ones([gradient.shape.rank - 1 - places], tf.int32)
    return tf.reshape(tf.image.resize(pictures, sizes), tf.concat([shape[: places + 1], one_channel], 0))
