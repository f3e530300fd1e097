"""Generative Contribution Mappings: a classifier whose explanation is its computation.

Arai & Nagao, "Intuitive visualization method for image classification using convolutional neural networks"
(Japanese). Section, table and equation numbers below are the paper's. Derived in notebook 08.
"""

import keras
import tensorflow as tf
from keras import layers, ops

ENCODER = [(16, 1), (16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)]  # Table 1
DECODER = [(32, 2), (32, 1), (16, 2), (16, 1)]                                                      # layers 11-14


@keras.saving.register_keras_serializable("gcm")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over [B,H,W] in one kernel, where Keras' own layer spends five (training is 1.5 x as fast).

    Across several replicas it is Keras' synchronised layer, so that the statistics are those of the whole batch.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "synchronized": True})

    def call(self, inputs, training=None):
        if training and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return super().call(inputs, training=training)
        none = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, epsilon=self.epsilon, is_training=bool(training),
            mean=none if training else self.moving_mean, variance=none if training else self.moving_variance)
        if training:
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable("gcm")
class ConvBlock(layers.Layer):
    """One row of Table 1: a 3x3 convolution without bias, batch normalisation, ReLU.

    [B,H,W,C] -> [B,H/strides,W/strides,filters]; with `transposed` (the paper's "Deconv") the size grows instead.
    """

    def __init__(self, filters, strides=1, transposed=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides, self.transposed = filters, strides, transposed
        convolution = layers.Conv2DTranspose if transposed else layers.Conv2D
        self.conv = convolution(filters, 3, strides, "same", use_bias=False, kernel_initializer="he_normal",
                                dtype=self.dtype_policy, name="conv")
        self.norm = FusedBatchNormalization(dtype=self.dtype_policy, name="norm")
        self.relu = layers.ReLU(dtype=self.dtype_policy, name="relu")

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs, training=None):
        return self.relu(self.norm(self.conv(inputs), training=training))

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides,
                "transposed": self.transposed}


@keras.saving.register_keras_serializable("gcm")
class GCM(keras.Model):
    """Generative Contribution Mappings (sections 3.2, 3.3 and 4.1; Table 1).

    Images [B,H,W,D] in [0,1], H and W divisible by 4 -> class scores [B,num_classes], float32, before the softmax
    (that one belongs to the loss).

    decoder: "shared" (section 3.3: layers 11-14 once, layer 15 for each class; 162,000 parameters for ten classes
    and RGB) or "separate" (section 3.2: layers 11-15 for each class).
    clip: a ReLU on layer 15, so that no weight is negative (section 4.3).
    Raises ValueError for sizes that cannot be halved twice, and for unknown decoders.
    """

    def __init__(self, num_classes, decoder="shared", clip=False, **kwargs):
        super().__init__(autocast=False, **kwargs)  # pixels stay float32 until the first convolution
        if decoder not in ("shared", "separate"):
            raise ValueError(f'decoder {decoder!r}: choose "shared" (section 3.3) or "separate" (section 3.2)')
        if num_classes < 1:
            raise ValueError(f"num_classes {num_classes}: at least 1")
        self.num_classes, self.decoder, self.clip = num_classes, decoder, clip
        policy = self.dtype_policy
        self.encoder_layers = [ConvBlock(filters, strides, dtype=policy, name=f"layer_{number}")
                               for number, (filters, strides) in enumerate(ENCODER, start=1)]
        if decoder == "shared":
            self.decoder_layers = [_decoder(num_classes, policy)]
        else:
            self.decoder_layers = [_decoder(1, policy, f"_class_{j}") for j in range(num_classes)]

    def build(self, input_shape):
        _check_images(input_shape)
        shape = input_shape
        for layer in self.encoder_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        for decoder in self.decoder_layers:
            decoded = shape
            for layer in decoder:
                layer.build(decoded)
                decoded = layer.compute_output_shape(decoded)

    def weight_maps(self, images, training=None):
        """Class Weight Maps (equation 1): images [B,H,W,D] -> [B,H,W,num_classes], float32; >= 0 where `clip`."""
        _check_images(images.shape)
        features = images
        for layer in self.encoder_layers:
            features = layer(features, training=training)
        decoded = []
        for decoder in self.decoder_layers:
            maps = features
            for layer in decoder:
                maps = layer(maps) if layer is decoder[-1] else layer(maps, training=training)
            decoded.append(maps)
        weights = ops.cast(ops.concatenate(decoded, axis=-1), "float32")
        return ops.relu(weights) if self.clip else weights

    def call(self, images, training=None):
        """Class scores [B,num_classes] by equation 6: the inner product of generated weights and image.

        Equation 3's mean over height, width and colour channel is kept as the constant it is, so that the mean of a
        contribution map is the score itself. Tiling the weights (equation 2) is never needed for it.
        """
        brightness = ops.mean(ops.cast(images, "float32"), axis=-1)                          # [B,H,W]
        weights = self.weight_maps(images, training=training)                                # [B,H,W,N]
        return ops.mean(weights * brightness[..., None], axis=(1, 2))

    def contribution_maps(self, images, classes=None):
        """Class Contribution Maps (equation 2): images [B,H,W,D] -> [B,H,W,D], signed float32.

        classes: one class, [B] classes, or None for the predicted ones. The mean of a map is that class's score.
        Raises ValueError for classes the network does not have.
        """
        images = ops.cast(images, "float32")
        weights = self.weight_maps(images)
        if classes is None:
            classes = ops.argmax(ops.mean(weights * ops.mean(images, -1, keepdims=True), (1, 2)), axis=-1)
        chosen = ops.broadcast_to(ops.cast(classes, "int32"), ops.shape(images)[:1])
        if bool(ops.any(chosen < 0)) or bool(ops.any(chosen >= self.num_classes)):
            raise ValueError(f"classes {classes}: this network has the classes 0 to {self.num_classes - 1}")
        chosen_weights = ops.take_along_axis(weights, chosen[:, None, None, None], axis=-1)  # [B,H,W,1]
        return chosen_weights * images                                                       # Tile by broadcasting

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "decoder": self.decoder, "clip": self.clip}


def comparison_cnn(num_classes, mean=(0.4914, 0.4822, 0.4465)):
    """The CNN of section 4.4: the encoder 1.16 times as wide from layer 2 on, GAP, dense, softmax.

    Images [B,H,W,3] in [0,1] -> probabilities [B,num_classes], float32; 164,258 parameters for ten classes.
    Centring ("the CNN alone gets centred pixels") is its first layer: `mean` is the training set's mean colour.
    """
    widths = [ENCODER[0][0], *(int(filters * 1.16) for filters, _ in ENCODER[1:])]
    blocks = [ConvBlock(width, strides, name=f"layer_{number}")
              for number, (width, (_, strides)) in enumerate(zip(widths, ENCODER, strict=True), start=1)]
    return keras.Sequential([
        keras.Input((None, None, 3)),
        layers.Normalization(mean=mean, variance=(1.0, 1.0, 1.0), dtype="float32", name="centring"),
        *blocks,
        layers.GlobalAveragePooling2D(name="gap"),
        layers.Dense(num_classes, name="dense"),
        layers.Activation("softmax", dtype="float32", name="softmax"),
    ], name="comparison_cnn")


def _decoder(num_classes, policy, suffix=""):
    """Layers 11-15 of Table 1, ending in one map a class."""
    blocks = [ConvBlock(filters, strides, transposed=strides == 2, dtype=policy, name=f"layer_{number}{suffix}")
              for number, (filters, strides) in enumerate(DECODER, start=11)]
    return [*blocks, layers.Conv2D(num_classes, 5, padding="same", use_bias=False, kernel_initializer="he_normal",
                                   dtype=policy, name=f"layer_15{suffix}")]


def _check_images(shape):
    if len(shape) != 4:
        raise ValueError(f"images: shape {tuple(shape)}; GCM takes a batch [B,H,W,D]: add the batch axis")
    height, width = shape[1], shape[2]
    if (height or 4) % 4 or (width or 4) % 4:
        raise ValueError(f"images: {height}x{width}; GCM needs height and width divisible by 4: crop or pad first")
