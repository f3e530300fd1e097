"""The blog's task by today's practice: a network trained on photographs, frozen, and one new dense layer on top.

Derived in notebook 05b. It takes and gives what the blog's CNN does, pixels in [0, 1] and class probabilities, so every
notebook that loads a training loads it, too; only its pictures are larger.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers import imagenet, training
from helpers.training import batches

NETWORK, SIZE = "imagenet", imagenet.SIZE
BATCH_SIZE, EPOCHS, LEARNING_RATE = 15, 60, 1e-3  # the blog's batches; the rest is ours
FEATURES = 1280


def build(num_classes, size=SIZE):
    """Pixels [B, size, size, 3] in [0, 1] to class probabilities [B, num_classes]: backbone, average, `head`.

    The backbone is frozen and sees pictures of 224 x 224, to which others are resized; the head, one dense layer, is
    untrained. Errors as for `imagenet.load`.
    """
    network = imagenet.load()
    backbone = keras.Model(network.input, network.get_layer("head_relu").output, name="backbone")
    backbone.trainable = False
    picture = keras.Input((size, size, 3), name="picture")
    scale, resize = layers.Rescaling(255, name="to_bytes"), layers.Resizing(SIZE, SIZE, name="resize")
    average = layers.GlobalAveragePooling2D(name="average")
    return keras.Sequential([picture, scale, resize, backbone, average, build_head(num_classes)], name="transfer")


def build_head(num_classes):
    """One dense layer on a picture's 1,280 features: [B, 1280] to class probabilities [B, num_classes]."""
    chain = [keras.Input((FEATURES,)), layers.Dropout(0.2, name="dropout"), layers.Dense(num_classes, name="logits")]
    return keras.Sequential([*chain, layers.Activation("softmax", dtype="float32", name="softmax")], name="head")


def features(images):
    """What the frozen network gives for pictures uint8 [N, H, W, 3], about 12 ms each: float32 [N, 1280]."""
    return batches.predict_all(_extractor(), images).astype(np.float32)


@functools.cache
def _extractor():
    network = imagenet.load()
    model = keras.Model(network.input, network.get_layer("average").output)

    @tf.function(reduce_retracing=True)
    def give(images):
        return model(tf.image.resize(tf.cast(images, tf.float32), (SIZE, SIZE)), training=False)

    return give


def fit_head(head, run, train, validation, epochs=EPOCHS, seed=0, **options):
    """Train `head` on features and labels, two arrays each, in the folder `run`; returns the history.

    options: those of `training.fit`. It resumes; run/best.weights.h5 holds the head of the best validation epoch.
    """

    def epoch_batches(epoch):
        return batches.batches(train, BATCH_SIZE, np.random.default_rng([seed, epoch]).permutation(len(train[0])))

    held_out = batches.batches(validation, BATCH_SIZE)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    return training.fit(head, optimizer, run, epoch_batches, epochs, validation=held_out, keep_best=True, **options)
