"""What the benchmarks measure: the networks, and each library's way to the same map, as functions of the pictures.

The peers are only measured here, nothing of the project needs them; each is called as its documentation does, at its
fastest: compiled where it compiles, all pictures in one batch, no drawing.
"""

import keras
import numpy as np
import tensorflow as tf

from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM
from helpers.guided import GuidedBackprop

CLASS = 0  # the class that is explained


def blog_cnn():
    """The blog's network, its logits as a model that shares its layers, and the name of the last feature map."""
    network = build_cnn()
    return network, keras.Model(network.layers[0].input, network.get_layer("logits").output), "relu4"


def mobilenet():
    """MobileNetV2 with random weights, likewise; its softmax is no layer of its own, so the logits' model is a copy."""
    network = keras.applications.MobileNetV2(weights=None)
    logits = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    logits.set_weights(network.get_weights())
    return network, logits, "out_relu"


NETWORKS = {"blog's CNN": (blog_cnn, 160), "MobileNetV2": (mobilenet, 224)}


def pictures(batch, size):
    return tf.constant(np.random.default_rng(0).random((batch, size, size, 3), np.float32))


def forward_pass(network):
    """The compiled forward pass, to an array: the unit of every table."""
    compiled = tf.function(lambda images: network(images, training=False), autograph=False)
    return lambda images: compiled(images).numpy()


def our_grad_cam(network, logits, layer):
    explain = GradCAM(network)
    return lambda images: explain(images, CLASS)


def our_guided(network, logits, layer):
    explain = GuidedBackprop(network)
    return lambda images: explain(images, CLASS)


def keras_documentation_loop(network, layer):
    """The documented recipe: a two-headed model and a tape for each picture; the softmax taken off as advised there.

    Source: keras.io/examples/vision/grad_cam.
    """
    logits = keras.Model(network.layers[0].input, [network.get_layer(layer).output, network.layers[-2].output])

    def one(picture):
        with tf.GradientTape() as tape:
            feature_map, scores = logits(picture)
            score = scores[:, tf.argmax(scores[0])]
        weights = tf.reduce_mean(tape.gradient(score, feature_map), axis=(0, 1, 2))
        heatmap = tf.maximum(tf.squeeze(feature_map[0] @ weights[..., tf.newaxis]), 0)
        return (heatmap / tf.math.reduce_max(heatmap)).numpy()

    return lambda images: [one(picture[None]) for picture in images]


def tf_keras_vis_grad_cam(network, logits, layer):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    explain = Gradcam(logits, clone=False)
    return lambda images: np.asarray(explain(
        CategoricalScore([CLASS] * len(images)), images, penultimate_layer=layer, seek_penultimate_conv_layer=False,
        expand_cam=False, normalize_cam=False))


def tf_keras_vis_guided(network, logits, layer):
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
    from tf_keras_vis.utils.scores import CategoricalScore

    explain = Saliency(logits, model_modifier=GuidedBackpropagation(), clone=True)
    return lambda images: np.asarray(explain(
        CategoricalScore([CLASS] * len(images)), images, keepdims=True, gradient_modifier=None, normalize_map=False))


def xplique_grad_cam(network, logits, layer):
    from xplique.attributions import GradCAM as Peer

    explain = Peer(logits, batch_size=None, conv_layer=layer)
    return lambda images: explain(images, _one_hot(logits, images)).numpy()[..., 0]


def xplique_guided(network, logits, layer):
    from xplique.attributions import GuidedBackprop as Peer

    explain = Peer(logits, batch_size=None, reducer=None)
    return lambda images: explain(images, _one_hot(logits, images)).numpy()


def _one_hot(logits, images):
    return tf.one_hot([CLASS] * len(images), logits.output_shape[-1])


METHODS = {  # method: {library: f(network, logits, layer) -> f(images) -> maps}
    "Grad-CAM": {"ours": our_grad_cam, "tf-keras-vis": tf_keras_vis_grad_cam, "xplique": xplique_grad_cam},
    "guided backpropagation": {"ours": our_guided, "tf-keras-vis": tf_keras_vis_guided,
                               "xplique": xplique_guided},
}
