"""What the benchmarks measure: the networks, and each library's way to the same map, as functions of the pictures.

The peers are only measured here, nothing of the project needs them; each is called as its documentation does, at its
fastest: compiled where it compiles, all pictures in one batch, no drawing.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM
from helpers.guided import GuidedBackprop


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


def ours(kind):
    """How an explainer class of ours is asked."""

    def start(subject):
        explain = kind(subject.network)
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


def tf_keras_vis_grad_cam(subject):
    from tf_keras_vis.gradcam import Gradcam

    explain = Gradcam(subject.logits, clone=False)
    options = {"penultimate_layer": subject.layer, "seek_penultimate_conv_layer": False}
    options |= {"expand_cam": False, "normalize_cam": False}
    return lambda images: np.asarray(explain(_score(subject, images), images, **options))


def tf_keras_vis_guided(subject):
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation

    explain = Saliency(subject.logits, model_modifier=GuidedBackpropagation(), clone=True)
    options = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    return lambda images: np.asarray(explain(_score(subject, images), images, **options))


def _score(subject, images):
    from tf_keras_vis.utils.scores import CategoricalScore

    return CategoricalScore([subject.class_index] * len(images))


def xplique_grad_cam(subject):
    from xplique.attributions import GradCAM as Peer

    explain = Peer(subject.logits, batch_size=None, conv_layer=subject.layer)
    return lambda images: explain(images, _one_hot(subject, images)).numpy()[..., 0]


def xplique_guided(subject):
    from xplique.attributions import GuidedBackprop as Peer

    explain = Peer(subject.logits, batch_size=None, reducer=None)
    return lambda images: explain(images, _one_hot(subject, images)).numpy()


def _one_hot(subject, images):
    return tf.one_hot([subject.class_index] * len(images), subject.logits.output_shape[-1])


GUIDED = {"ours": ours(GuidedBackprop), "tf-keras-vis": tf_keras_vis_guided, "xplique": xplique_guided}
METHODS = {  # method: {library: f(subject) -> f(images) -> maps}
    "Grad-CAM": {"ours": ours(GradCAM), "tf-keras-vis": tf_keras_vis_grad_cam, "xplique": xplique_grad_cam},
    "guided backpropagation": GUIDED,
}
