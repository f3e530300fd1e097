"""A real network, trained on photographs: EfficientNet-Lite0, which knows ImageNet's 1,000 classes.

Its weights are Google's (Apache-2.0), rounded to float16; `scripts/convert_imagenet.py` made the file.
Source: Tan & Le 2019, "EfficientNet", and the authors' Lite variant: no squeeze-and-excitation, ReLU6 everywhere.
"""

import keras
import numpy as np
from keras import layers
from PIL import Image, ImageOps

from helpers import paths
from helpers.photos import pictures
from helpers.training import shipped

NAME, SIZE = "imagenet", 224
BLOCKS = [  # kernel, stride, expansion, channels
    (3, 1, 1, 16),
    *((3, stride, 6, 24) for stride in (2, 1)),
    *((5, stride, 6, 40) for stride in (2, 1)),
    *((3, stride, 6, 80) for stride in (2, 1, 1)),
    *((5, stride, 6, 112) for stride in (1, 1, 1)),
    *((5, stride, 6, 192) for stride in (2, 1, 1, 1)),
    (3, 1, 6, 320),
]
CLASSES = 1000


def _names():
    """The classes' names with synonyms; () without their file, so that other networks work without it."""
    file = paths.WEIGHTS / "imagenet_labels.txt"
    return tuple(file.read_text(encoding="utf-8", errors="replace").splitlines()) if file.exists() else ()


NAMES = _names()
LABELS = tuple(name.split(",")[0] for name in NAMES)  # without their synonyms


def load():
    """EfficientNet-Lite0, functional: pixels 0 to 255, float32 [B, 224, 224, 3] -> probabilities float32 [B, 1000].

    4,694,024 parameters, the batch norms' averages included. It ends in global average pooling and one dense layer, so
    CAM is defined for it. It computes in float32 whatever Keras' global dtype policy is. Raises FileNotFoundError and
    OSError as `shipped.restore` does, for the labels' file as well.
    """
    if len(NAMES) != CLASSES:
        wanted = f"expected {CLASSES} lines, there are {len(NAMES)}"
        raise OSError(f"weights/imagenet_labels.txt is missing or damaged: {wanted}. {shipped.AGAIN}")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return shipped.restore(build(), NAME, "python scripts/convert_imagenet.py <the PyTorch file>")
    finally:
        keras.config.set_dtype_policy(policy)


def build():
    """The same network, untrained, in the global dtype policy; its probabilities are always float32."""
    picture = keras.Input((SIZE, SIZE, 3), name="picture")
    maps = layers.Rescaling(1 / 128, -127 / 128, name="scaling")(picture)
    maps = _normed(maps, layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem"))
    for number, block in enumerate(BLOCKS, start=1):
        maps = _block(maps, f"block{number}", *block)
    maps = _normed(maps, layers.Conv2D(1280, 1, use_bias=False, name="head"))
    pooled = layers.GlobalAveragePooling2D(name="average")(maps)
    logits = layers.Dense(CLASSES, name="logits")(layers.Dropout(0.2, name="dropout")(pooled))
    probabilities = layers.Activation("softmax", name="softmax", dtype="float32")(logits)
    return keras.Model(picture, probabilities, name="efficientnet_lite0")


def _block(maps, name, kernel, stride, expansion, channels):
    """An inverted residual: expand, convolve each channel by itself, project; the sum where the shape stays."""
    inputs = maps
    if expansion > 1:
        maps = _normed(maps, layers.Conv2D(expansion * inputs.shape[-1], 1, use_bias=False, name=f"{name}_expand"))
    depthwise = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")
    project = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")
    maps = _normed(_normed(maps, depthwise), project, relu=False)
    return layers.Add(name=f"{name}_sum")([inputs, maps]) if inputs.shape == maps.shape else maps


def _normed(maps, convolution, relu=True):
    name = convolution.name
    maps = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(convolution(maps))
    return layers.ReLU(6, name=f"{name}_relu")(maps) if relu else maps


def prepare(image):
    """Any picture as the network takes it, uint8 [224, 224, 3]: upright, its central square, bilinear.

    image: a PIL picture, of any mode as `pictures.rgb` takes it, or uint8 [H, W, 3] or [H, W]. Raises ValueError for
    other arrays and for no pixels.
    """
    if not isinstance(image, Image.Image):
        image = np.asarray(image)
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
            wanted = "expected one picture, uint8 [H, W, 3] from 0 to 255"
            raise ValueError(f"image: {image.dtype} {image.shape}; {wanted}")
        image = Image.fromarray(image)
    if not min(image.size):
        raise ValueError(f"image: {image.width} x {image.height} pixels; expected at least one")
    return np.asarray(ImageOps.fit(pictures.rgb(image), (SIZE, SIZE), Image.Resampling.BILINEAR))


def top(probabilities, k=5):
    """The k likeliest classes of each picture, best first: [[(label, probability), ...], ...] for [B, 1000].

    For one picture, [1000], its list alone. Raises ValueError for other shapes and for no k.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim not in (1, 2) or probabilities.shape[-1] != CLASSES:
        wanted = f"[B, {CLASSES}] or [{CLASSES}]"
        raise ValueError(f"probabilities {probabilities.shape}: expected this network's, {wanted}")
    if k < 1:
        raise ValueError(f"k {k}: expected at least 1")
    if probabilities.ndim == 2:
        return [top(row, k) for row in probabilities]
    return [(LABELS[index], float(probabilities[index])) for index in np.argsort(-probabilities, kind="stable")[:k]]
