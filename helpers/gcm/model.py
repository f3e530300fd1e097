"""Generative Contribution Mappings: a classifier whose explanation is its computation.

Arai & Nagao, "Intuitive visualization method for image classification using convolutional neural networks"
(Japanese). Section, table and equation numbers below are the paper's. Derived in notebook 08.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from helpers.gcm.conv_block import PLAIN, ConvBlock

ENCODER = [(16, 1), (16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)]  # Table 1
DECODER = [(32, 2), (32, 1), (16, 2), (16, 1)]  # layers 11-14
SIZES = "GCM needs height and width divisible by 4: crop or pad first"


@keras.saving.register_keras_serializable("gcm")
class GCM(keras.Model):
    """Generative Contribution Mappings (sections 3.2, 3.3 and 4.1; Table 1).

    Images float [B,H,W,D] in [0,1], H and W divisible by 4 -> class scores [B,num_classes], float32, before the
    softmax (that one belongs to the loss).

    decoder: "shared" (section 3.3: layers 11-14 once, layer 15 for each class; 162,000 parameters for ten classes
    and RGB) or "separate" (section 3.2: layers 11-15 for each class).
    clip: a ReLU on layer 15, so that no weight is negative (section 4.3).
    Raises ValueError for sizes that cannot be halved twice, integer pixels, another number of channels than the
    network was built for, unknown decoders, and less than one class.
    """

    def __init__(self, num_classes, decoder="shared", clip=False, **kwargs):
        super().__init__(autocast=False, **kwargs)  # pixels stay float32 until the first convolution
        if decoder not in ("shared", "separate"):
            raise ValueError(f'decoder {decoder!r}: choose "shared" (section 3.3) or "separate" (section 3.2)')
        self.num_classes, self.decoder, self.clip = checked_count(num_classes), decoder, clip
        policy = self.dtype_policy
        self.encoder_layers = [block(number, *row, policy) for number, row in enumerate(ENCODER, start=1)]
        if decoder == "shared":
            self.decoder_layers = [_decoder(num_classes, policy)]
        else:
            self.decoder_layers = [_decoder(1, policy, f"_class_{j}") for j in range(num_classes)]
        if clip:  # a layer, so that the guided methods find it
            self.clip_layer = layers.ReLU(dtype="float32", name="layer_15_relu")

    def build(self, input_shape):
        _check_size(input_shape)
        if input_shape[-1] is None:
            raise ValueError(f"images: shape {tuple(input_shape)}; GCM must know the number of channels")
        if self.built:
            return
        self.channels, encoded = input_shape[-1], _build(self.encoder_layers, input_shape)
        for decoder in self.decoder_layers:
            _build(decoder, encoded)

    def weight_maps(self, images, training=None):
        """Class Weight Maps (equation 1): images [B,H,W,D] -> [B,H,W,num_classes], float32; >= 0 where `clip`."""
        features = _run(self.encoder_layers, self._checked(images), training)
        decoded = [_run(decoder, features, training) for decoder in self.decoder_layers]
        weights = ops.cast(ops.concatenate(decoded, axis=-1), "float32")
        return self.clip_layer(weights) if self.clip else weights

    def call(self, images, training=None):
        """Class scores [B,num_classes] by equation 6: the inner product of generated weights and image.

        Equation 3's mean over height, width and colour channel is kept as the constant it is, so that the mean of a
        contribution map is the score itself. Tiling the weights (equation 2) is never needed for it.
        """
        weights = self.weight_maps(images, training=training)
        return class_scores(weights, images, dtype="float32" if training else "float64")

    def contribution_maps(self, images, classes=None):
        """Class Contribution Maps (equation 2): images [B,H,W,D] -> [B,H,W,D], signed float32.

        classes: one class, [B] classes, or None for the predicted ones. The mean of a map is that class's score.
        Raises ValueError for classes the network does not have; InvalidArgumentError where they are known only when a
        `tf.function` runs (under `jit_compile`, where TensorFlow drops such checks, nothing is raised).
        """
        images = self._checked(images)
        weights = self.weight_maps(images)
        if classes is None:
            classes = ops.argmax(class_scores(weights, images), axis=-1)
        else:
            self._check_classes(classes, images.shape[0])
        chosen = ops.broadcast_to(ops.cast(classes, "int32"), ops.shape(images)[:1])
        return ops.take_along_axis(weights, chosen[:, None, None, None], axis=-1) * images  # [B,H,W,1] * [B,H,W,D]

    def _checked(self, images):
        """`images` as a float32 tensor this network can take, and the network built."""
        images = ops.convert_to_tensor(images)
        if not images.dtype.is_floating:
            raise ValueError(f"images: {images.dtype.name}; GCM takes floats in [0, 1]: divide 8-bit pixels by 255")
        _check_size(images.shape)
        if images.shape[0] == 0:
            raise ValueError("images: an empty batch; expected at least one picture")
        if None in images.shape[1:3]:  # a size that is known only when it runs
            tf.debugging.assert_equal(tf.shape(images)[1:3] % 4, 0, message=f"images: {SIZES}")
        if not self.built:
            self.build(images.shape)
        if images.shape[-1] != self.channels:
            raise ValueError(f"images: {images.shape[-1]} channels; this GCM was built for {self.channels}")
        return ops.cast(images, "float32")

    def _check_classes(self, classes, batch):
        known = f"this network has the classes 0 to {self.num_classes - 1}"
        late = tf.is_symbolic_tensor(classes)  # values that are known only when it runs
        given = classes if late else np.asarray(classes)
        if not tf.as_dtype(given.dtype).is_integer:
            raise ValueError(f"classes {classes}: expected integers; {known}")
        values = ops.cast(given, "int64") if late else given
        inside = (values >= 0) & (values < self.num_classes)
        if late:
            tf.debugging.assert_equal(inside, True, message=f"classes: {known}")
        elif not np.all(inside):
            raise ValueError(f"classes {classes}: {known}")
        elif given.shape not in ((), (batch or given.size,)):
            raise ValueError(f"classes: shape {given.shape} for {batch} images; expected one class, or one for each")

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "decoder": self.decoder, "clip": self.clip}


def class_scores(weights, images, dtype="float64"):
    """Equations 3 and 6: weight maps [B,H,W,N] and their images [B,H,W,D] -> class scores [B,N], float32.

    Colours are averaged before the product, so nothing of the size [B,H,W,D,N] is ever made.
    dtype: what is computed in; float64 adds no rounding of its own, which matters for scores near zero, the difference
    of large positive and negative parts. Training needs less.
    """
    brightness = ops.mean(ops.cast(images, dtype), axis=-1, keepdims=True)  # [B,H,W,1]
    return ops.cast(ops.mean(ops.cast(weights, dtype) * brightness, axis=(1, 2)), "float32")


def block(number, filters, strides, policy=None, transposed=False, suffix=""):
    """A row of Table 1 whose name reads like the table: layer_5_conv_3x3_c32_s2."""
    name = f"layer_{number}_{'deconv' if transposed else 'conv'}_3x3_c{filters}_s{strides}{suffix}"
    return ConvBlock(filters, strides, transposed, dtype=policy, name=name)


def _decoder(num_classes, policy, suffix=""):
    """Layers 11-15 of Table 1, ending in one map per class."""
    blocks = [block(number, *row, policy, row[1] == 2, suffix) for number, row in enumerate(DECODER, start=11)]
    name = f"layer_15_conv_5x5_c1_x{num_classes}{suffix}"
    return [*blocks, layers.Conv2D(num_classes, 5, **PLAIN, dtype=policy, name=name)]


def _build(row, shape):
    """Build layers one after another; returns the shape that comes out of the last."""
    for layer in row:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def _run(row, features, training):
    for layer in row:
        features = layer(features, training=training)
    return features


def checked_count(num_classes):
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
        raise ValueError(f"num_classes {num_classes!r}: expected an integer of at least 1")
    return int(num_classes)


def _check_size(shape):
    if len(shape) != 4:
        raise ValueError(f"images: shape {tuple(shape)}; GCM takes a batch [B,H,W,D]: add the batch axis")
    if any(side is not None and (side % 4 or not side) for side in shape[1:3]):
        raise ValueError(f"images: {shape[1]}x{shape[2]}; {SIZES}")
