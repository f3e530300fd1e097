"""What the benchmarks measure: the networks, and each library's way to the same map, as functions of the pictures.

The peers are only measured here, nothing of the project needs them; each is called as its documentation does, at its
fastest: compiled where it compiles, all pictures in one batch, no drawing. Where a method makes many copies of a
picture, at most 32 of them are looked at together.
"""

import importlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.blackbox import Occlusion, ScoreCAM
from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM, GradCAMPlusPlus, LayerCAM
from helpers.guided import GuidedBackprop
from helpers.integrated import IntegratedGradients


class Subject(NamedTuple):
    """A network, its logits as a model for the peers, the layer of the last feature map, and the class explained."""

    network: keras.Model
    logits: keras.Model
    layer: str
    class_index: int


def blog_cnn():
    network = build_cnn()
    logits = keras.Model(network.inputs[0], network.get_layer("logits").output)  # shares the layers
    return Subject(network, logits, "relu4", _likeliest(logits))


def mobilenet():
    """With random weights. Its softmax is no layer of its own, so the logits' model is a copy."""
    network = keras.applications.MobileNetV2(weights=None)
    logits = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    logits.set_weights(network.get_weights())
    return Subject(network, logits, "out_relu", _likeliest(logits))


def _likeliest(logits):
    """The likeliest class: its Grad-CAM map is hardly ever zero; another class's often is in a random network."""
    return int(np.argmax(logits(pictures(1, logits.input_shape[1]))))


NETWORKS = {"blog's CNN": (blog_cnn, 160), "MobileNetV2": (mobilenet, 224)}


def pictures(batch, size):
    return tf.constant(np.random.default_rng(0).random((batch, size, size, 3), np.float32))


def forward_pass(network):
    """The compiled forward pass, to an array: the unit of every table."""
    compiled = tf.function(lambda images: network(images, training=False), autograph=False)
    return lambda images: compiled(images).numpy()


def ours(kind, **options):
    """How an explainer class of ours is asked."""

    def start(subject):
        explain = kind(subject.network, **options)
        return lambda images: explain(images, subject.class_index)

    return start


def keras_documentation_loop(network, layer):
    """The documented recipe: a two-headed model and a tape for each picture; the softmax taken off as advised there.

    Source: keras.io/examples/vision/grad_cam.
    """
    logits = keras.Model(network.inputs[0], [network.get_layer(layer).output, network.layers[-2].output])

    def one(picture):
        with tf.GradientTape() as tape:
            feature_map, scores = logits(picture)
            score = scores[:, tf.argmax(scores[0])]
        weights = tf.reduce_mean(tape.gradient(score, feature_map), axis=(0, 1, 2))
        heatmap = tf.maximum(tf.squeeze(feature_map[0] @ weights[..., tf.newaxis]), 0)
        return (heatmap / tf.math.reduce_max(heatmap)).numpy()

    return lambda images: [one(picture[None]) for picture in images]


def tf_keras_vis(module, kind, **options):
    """How a class activation map of tf-keras-vis is asked, as it comes: not enlarged, not scaled."""

    def start(subject):
        explain = getattr(importlib.import_module(f"tf_keras_vis.{module}"), kind)(subject.logits, clone=False)
        chosen = {"penultimate_layer": subject.layer, "seek_penultimate_conv_layer": False, "expand_cam": False}
        chosen |= {"normalize_cam": False, **options}
        return lambda images: np.asarray(explain(_score(subject, images), images, **chosen))

    return start


def tf_keras_vis_guided(subject):
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation

    explain = Saliency(subject.logits, model_modifier=GuidedBackpropagation(), clone=True)
    options = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    return lambda images: np.asarray(explain(_score(subject, images), images, **options))


def _score(subject, images):
    from tf_keras_vis.utils.scores import CategoricalScore

    return CategoricalScore([subject.class_index] * len(images))


def xplique(kind, in_batches_of=None, with_layer=False, **options):
    """How a method of xplique is asked; most of its maps have one channel more than ours."""

    def start(subject):
        chosen = {"conv_layer": subject.layer} if with_layer else {}
        explain = getattr(importlib.import_module("xplique.attributions"), kind)
        explain = explain(subject.logits, batch_size=in_batches_of, **chosen, **options)
        return lambda images: explain(images, _one_hot(subject, images)).numpy()

    return start


def _one_hot(subject, images):
    return tf.one_hot([subject.class_index] * len(images), subject.logits.output_shape[-1])


STEPS, WINDOW = 32, 32  # of Integrated Gradients; of occlusion, in pixels, side by side: 160 and 224 hold whole ones
WINDOWS = {"patch_size": WINDOW, "patch_stride": WINDOW, "in_batches_of": 32}
METHODS = {  # method: {library that has it: f(subject) -> f(images) -> maps}
    "Grad-CAM": {
        "ours": ours(GradCAM),
        "tf-keras-vis": tf_keras_vis("gradcam", "Gradcam"),
        "xplique": xplique("GradCAM", with_layer=True),
    },
    "guided backpropagation": {
        "ours": ours(GuidedBackprop),
        "tf-keras-vis": tf_keras_vis_guided,
        "xplique": xplique("GuidedBackprop", reducer=None),
    },
    "Grad-CAM++": {
        "ours": ours(GradCAMPlusPlus),
        "tf-keras-vis": tf_keras_vis("gradcam_plus_plus", "GradcamPlusPlus"),
        "xplique": xplique("GradCAMPP", with_layer=True),
    },
    "LayerCAM": {"ours": ours(LayerCAM), "tf-keras-vis": tf_keras_vis("layercam", "Layercam")},
    "Score-CAM": {"ours": ours(ScoreCAM), "tf-keras-vis": tf_keras_vis("scorecam", "Scorecam", batch_size=32)},
    "Integrated Gradients": {
        "ours": ours(IntegratedGradients, steps=STEPS),
        "xplique": xplique("IntegratedGradients", in_batches_of=32, steps=STEPS, reducer=None),
    },
    "occlusion": {
        "ours": ours(Occlusion, size=WINDOW, stride=WINDOW, fill=0),
        "xplique": xplique("Occlusion", **WINDOWS),
    },
}
AT_MOST = dict.fromkeys(METHODS.keys() - {"Grad-CAM", "guided backpropagation"}, 16)  # at once
LEFT_OUT = ("MobileNetV2", "Score-CAM")  # 1,280 channels: 1,280 forward passes a picture
