"""The building block of GCM and its comparison CNN: convolution, batch normalisation, ReLU (Table 1)."""

import keras
import tensorflow as tf
from keras import layers

PLAIN = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}  # every convolution of Table 1


@keras.saving.register_keras_serializable("gcm")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over [B,H,W] in one kernel, where Keras' own layer spends five (training is 1.5 x as fast).

    [B,H,W,C] -> the same shape and dtype. As in every fused kernel the moving variance collects the unbiased n/(n-1)
    variance, Keras' own layer the biased one. It is Keras' layer where parameters are not float32 (a policy of pure
    float16, say), and across several replicas Keras' synchronised one: the statistics are those of the whole batch.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "synchronized": True})

    def call(self, inputs, training=None):
        training = training and self.trainable  # frozen, it normalises as in inference
        several = training and tf.distribute.get_strategy().num_replicas_in_sync > 1
        if several or self.variable_dtype != "float32":  # the kernel's parameters are float32
            return super().call(inputs, training=training)
        moments = (None, None) if training else (self.moving_mean, self.moving_variance)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, *moments, self.epsilon, is_training=bool(training)
        )
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
        self.conv = convolution(filters, 3, strides, **PLAIN, dtype=self.dtype_policy, name="conv")
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
        return {**super().get_config(), "filters": self.filters, "strides": self.strides, "transposed": self.transposed}
