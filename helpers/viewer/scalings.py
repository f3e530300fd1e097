"""How pixels are scaled for a network, and what can be guessed of it: from what its own layers do, else its name."""

import re
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from helpers import tracing
from helpers.tracing.explainer import Explainer, Found

_imagenet = keras.applications.imagenet_utils.preprocess_input
UNIT, SIGNED = "[0, 1]", "[-1, 1] (MobileNetV2, Inception, Xception)"
BYTES = "0 to 255 (EfficientNet, ConvNeXt)"
BGR, RGB = "BGR minus mean (VGG, ResNet)", "RGB, mean 0, deviation 1 (DenseNet)"
SCALINGS = {
    UNIT: lambda pixels: pixels / 255,
    SIGNED: lambda pixels: pixels / 127.5 - 1,
    BYTES: lambda pixels: pixels,
    BGR: partial(_imagenet, mode="caffe"),
    RGB: partial(_imagenet, mode="torch"),
}
FAMILIES = {  # in the names of keras.applications' networks; the first that is found counts
    r"resnet(\d+|_)v2|mobilenet|inception|xception|nasnet": SIGNED,
    "efficientnet|convnext": BYTES,
    r"vgg1[69]|resnet(50|101|152)": BGR,
    "densenet": RGB,
}
CUSTOMARY = np.array([(0, 1), (-1, 1), (-2.1, 2.6), (0, 255), (-120, 150)])  # black and white at a first convolution


class Arriving(Explainer):
    """`explain(images)` -> what arrives of each at the network's first layer with a kernel, float32 [B, ...]."""

    def _maps(self, inputs, classes):
        calls = tracing.trace(self.model, inputs).calls
        first = next(call for call in calls if hasattr(call.layer, "kernel") or hasattr(call.layer, "depthwise_kernel"))
        return Found(tf.cast(first.inputs, tf.float32), None)


def guess(model, size, channels):
    """(one of SCALINGS, why) for a classifier of pictures [H, W] = size: its own layers' scaling, else by its name."""
    if takes_whole_numbers(model):
        return BYTES, "its input, which takes whole numbers"
    if own := _for_own_layers(model, size, channels):
        return own, "its first layers, which scale the pixels"
    models = [model, *(layer for layer in tracing.layer_paths(model).values() if isinstance(layer, keras.Model))]
    for name in (one.name for one in models):
        for family, scaling in FAMILIES.items():
            if re.search(family, name.casefold()) and (channels == 3 or scaling in (SIGNED, BYTES)):
                return scaling, f"its name, {name}"
    return UNIT, "common use, because the network does not say"


def takes_whole_numbers(model):
    """Whether a model's pictures are bytes or other whole numbers, with respect to which there is no gradient."""
    return any(tf.as_dtype(tensor.dtype).is_integer for tensor in getattr(model, "inputs", None) or ())


def _for_own_layers(model, size, channels):
    """The scaling whose black and white become customary numbers in the network's own first layers; None without."""
    black_and_white = np.repeat(np.array([0, 255], np.float32), np.prod(size) * channels).reshape(2, *size, channels)
    try:
        arriving = Arriving(model)
        found = {name: _pair(arriving(SCALINGS[name](black_and_white))) for name in (BYTES, UNIT, SIGNED)}
    except StopIteration:  # no layer has a kernel
        return None
    if np.allclose(found[BYTES], (0, 255), atol=2):
        return None
    widths = np.diff(CUSTOMARY)[:, 0]
    return min(found, key=lambda name: (np.abs(CUSTOMARY - found[name]).sum(axis=1) / widths).min())


def _pair(arrived):
    """The medians of what arrives for black and for white: padding does not count."""
    return np.median(arrived.reshape(2, -1), axis=1)
