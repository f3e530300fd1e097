"""The blog's task by today's practice: a network trained on photographs, frozen, and one new dense layer on top.

Derived in notebook 05b. It takes and gives what the blog's CNN does, pixels in [0, 1] and class probabilities, so every
notebook that loads a training loads it, too; only its pictures are larger.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers import imagenet
from helpers.training import batches

FEATURES = 1280
EXACT = {"dtype": "float32"}  # whatever Keras' global policy is


def build(num_classes, size=imagenet.SIZE):
    """Pixels [B, size, size, 3] in [0, 1] to class probabilities [B, num_classes]: backbone, average, `head`.

    The backbone is frozen and sees pictures of 224 x 224, to which others are resized; the head, one dense layer, is
    untrained. Errors as for `imagenet.load`.
    """
    network = imagenet.load()
    backbone = keras.Model(network.input, network.get_layer("head_relu").output, name="backbone")
    backbone.trainable = False
    picture = keras.Input((size, size, 3), name="picture")
    pixels = layers.Rescaling(255, name="to_bytes", **EXACT)(picture)
    if size != imagenet.SIZE:  # not `layers.Resizing`, after which Keras takes every call for training
        pixels = keras.ops.image.resize(pixels, (imagenet.SIZE, imagenet.SIZE))
    averages = layers.GlobalAveragePooling2D(name="average", **EXACT)(backbone(pixels))
    return keras.Model(picture, build_head(num_classes)(averages), name="transfer")


def build_head(num_classes):
    """One dense layer on a picture's 1,280 features: [B, 1280] to class probabilities [B, num_classes]."""
    dropout, dense = layers.Dropout(0.2, name="dropout", **EXACT), layers.Dense(num_classes, name="logits", **EXACT)
    softmax = layers.Activation("softmax", name="softmax", **EXACT)
    return keras.Sequential([keras.Input((FEATURES,)), dropout, dense, softmax], name="head")


def features(images):
    """What the frozen network gives for pictures uint8 [N, H, W, 3]: float32 [N, 1280].

    Raises ValueError for other arrays (pictures in [0, 1] would all be black to it) and for no pictures.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images: {images.dtype} {images.shape}; expected uint8 [N, H, W, 3] from 0 to 255")
    return batches.predict_all(_extractor(), images).astype(np.float32)


@functools.cache
def _extractor():
    network = imagenet.load()
    model = keras.Model(network.input, network.get_layer("average").output)

    @tf.function(reduce_retracing=True)
    def give(images):
        return model(tf.image.resize(tf.cast(images, tf.float32), (imagenet.SIZE, imagenet.SIZE)), training=False)

    return give


def head_batches(data, batch_size, seed=None, epoch=0):
    """One epoch of (features [B, 1280], labels [B]) for a head; shuffled by (seed, epoch) where there is a seed."""
    order = None if seed is None else np.random.default_rng([seed, epoch]).permutation(len(data[0]))
    return batches.batches(data, batch_size, order)
