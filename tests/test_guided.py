"""Gradients on the picture by numbers: by hand, by finite differences, by an independent NumPy path, and escapes."""

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal

from helpers.gradcam import GradCAM, resize
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM, deconvnet_rule, guided_rule
from helpers.tracing.relus import own_rule

PICTURES = networks.images()
SWAPPING = [GuidedBackprop, Deconvnet, GuidedGradCAM]


def test_the_three_rules():
    passed, gradient = tf.constant([True, True, False, False]), tf.constant([2.0, -3.0, 5.0, -7.0])
    assert_array_equal(own_rule(passed, gradient), [2, -3, 0, 0])
    assert_array_equal(deconvnet_rule(passed, gradient), [2, 0, 5, 0])
    assert_array_equal(guided_rule(passed, gradient), [2, 0, 0, 0])


def test_gradient_is_the_finite_difference():
    rng, model = np.random.default_rng(3), networks.make("sequential")
    gradient = Gradient(model)(PICTURES, [0, 1, 2])

    def score(pictures):
        return networks.logits(model, pictures).numpy().astype(np.float64)[range(3), range(3)]

    for _ in range(4):
        direction = rng.normal(size=PICTURES.shape).astype(np.float32)
        slope = (score(PICTURES + 1e-3 * direction) - score(PICTURES - 1e-3 * direction)) / 2e-3
        assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), slope, rtol=0.05, atol=0.02)


def backward(weights, biases, picture, top, rule, open_range):
    """A dense ReLU network's gradient in NumPy: `rule` at every hidden layer."""
    values, activations = picture, []
    for kernel, bias in zip(weights[:-1], biases[:-1], strict=True):
        values = np.clip(values @ kernel + bias, 0, open_range)
        activations.append(values)
    gradient = weights[-1][:, top]
    for kernel, active in zip(weights[-2::-1], activations[::-1], strict=True):
        passed = (active > 0) & (active < open_range)
        keep = {GuidedBackprop: passed & (gradient > 0), Deconvnet: gradient > 0, Gradient: passed}[rule]
        gradient = kernel @ np.where(keep, gradient, 0)
    return gradient


class Choosing(layers.Layer):
    """A ReLU layer inside a condition: it is swapped like any other."""

    def __init__(self):
        super().__init__()
        self.relu = layers.ReLU()

    def call(self, inputs):
        return ops.cond(ops.mean(inputs) > -99, lambda: self.relu(inputs), lambda: inputs)


@pytest.mark.parametrize("explainer", [GuidedBackprop, Deconvnet, Gradient])
@pytest.mark.parametrize(
    ("hidden", "open_range"),
    [
        (lambda: [layers.Dense(8, activation="relu")], np.inf),
        (lambda: [layers.Dense(8), layers.ReLU()], np.inf),
        (lambda: [layers.Dense(8), layers.Activation("relu")], np.inf),
        (lambda: [layers.Dense(8, activation=tf.nn.relu)], np.inf),
        (lambda: [layers.Dense(8, activation="relu6")], 6),
        (lambda: [layers.Dense(8), layers.ReLU(max_value=2.5)], 2.5),
        (lambda: [layers.Dense(8, activation=layers.ReLU(max_value=2.5))], 2.5),
        (lambda: [layers.Dense(8), Choosing()], np.inf),
    ],
)
def test_every_spelling_of_relu_follows_the_rule(hidden, open_range, explainer):
    rng = np.random.default_rng(5)
    network = networks.stack(layers.Flatten(), *hidden(), *hidden(), layers.Dense(3), shape=(2, 2, 3))
    values = [rng.normal(0, 0.9, weight.shape) for weight in network.weights]
    network.set_weights(values)
    pictures = rng.normal(size=(6, 2, 2, 3)).astype(np.float32) * 2
    wanted = [backward(values[::2], values[1::2], one.ravel(), 1, explainer, open_range) for one in pictures]
    assert_allclose(explainer(network)(pictures, 1).reshape(6, -1), wanted, rtol=1e-4, atol=1e-5)


def test_other_non_linearities_keep_their_own_gradient():
    """A negative slope, PReLU and hard-swish are left alone, though TensorFlow computes the last two with ReLUs."""
    others = [layers.ReLU(negative_slope=0.3), layers.ReLU(negative_slope=0.3, max_value=4.0), layers.LeakyReLU()]
    others += [layers.Activation(name) for name in ("hard_swish", "silu", "hard_sigmoid")]
    for other in [*others, layers.PReLU(alpha_initializer="ones")]:
        behind = [layers.Conv2D(3, 2), layers.Flatten(), other, layers.Dense(3)]
        network, start = (networks.stack(*first, *behind, shape=(4, 4, 3)) for first in ([layers.ReLU()], []))
        pictures = networks.images(2, 4)
        arriving = Gradient(start)(np.maximum(pictures, 0), 1)  # at the one ReLU; the layers behind it are shared
        wanted = np.where(pictures > 0, np.maximum(arriving, 0), 0)
        assert_allclose(GuidedBackprop(network)(pictures, 1), wanted, rtol=1e-5, atol=1e-7)


def test_guided_grad_cam_is_guided_gradient_times_resized_map():
    """One trace, two rules: the map's gradient is the plain one although the ReLUs of the head are swapped."""
    model = networks.make("sequential")
    guided = GuidedBackprop(model)
    for layer in (None, "conv_a"):
        heat, both = GradCAM(model, layer), GuidedGradCAM(model, layer)
        for classes in (None, 1, [2, 1, 0]):
            product = guided(PICTURES, classes) * resize(heat(PICTURES, classes), (12, 12))[..., None]
            assert_allclose(both(PICTURES, classes), product, rtol=1e-4, atol=1e-7)
        assert both.traces == 1


@pytest.mark.parametrize("explainer", [Gradient, GuidedBackprop, Deconvnet])
def test_all_rules_agree_where_all_weights_are_positive_and_every_unit_is_active(explainer):
    network = networks.hand_network()
    network.get_layer("fc1").kernel.assign(np.ones((8, 4)))
    pictures = np.random.default_rng(0).uniform(30, 40, (60, 4, 4, 1)).astype(np.float32)
    wanted = 2 * np.outer([1, 2, 2, 1], [1, 2, 2, 1]).reshape(1, 4, 4, 1)
    assert_array_equal(explainer(network)(pictures, np.arange(60) % 4), np.repeat(wanted, 60, axis=0))


PLAIN = [keras.activations.relu, tf.nn.relu, ops.relu6, tf.nn.relu6]
PLAIN.append(lambda inputs: keras.activations.relu(inputs, max_value=2.0))
INSIDE = [
    lambda inputs: ops.cond(ops.mean(inputs) > -99, lambda: ops.relu(inputs), lambda: inputs),
    lambda inputs: ops.while_loop(lambda i, _: i < 2, lambda i, value: (i + 1, ops.relu(value)), (0, inputs))[1],
    lambda inputs: tf.map_fn(tf.nn.relu, inputs),
]


@pytest.mark.parametrize("function", [ops.relu, *PLAIN, *INSIDE])
def test_every_functional_relu_is_named(function):
    """In the part whose ReLUs are swapped; outside of it none is."""
    culprit = layers.Lambda(lambda inputs: function(inputs), name="culprit")  # `function` is none of its attributes
    eye = keras.Sequential([layers.Conv2D(2, 3, activation="relu")], name="eye")
    outer = keras.Sequential([culprit], name="outer")
    network = networks.stack(eye, layers.Flatten(), outer, layers.Dense(3), shape=(4, 4, 3))
    pictures = networks.images(1, 4)
    for explain in (Gradient(network), GuidedGradCAM(network, relus_in="eye")) if function not in PLAIN else ():
        assert np.isfinite(explain(pictures)).all()
    name = "Relu" if function in INSIDE else "culprit.*/Relu6?"
    for explainer in SWAPPING if function is ops.relu else [GuidedBackprop]:
        with pytest.raises(ValueError, match=rf"{name}' is a function that 'outer/culprit' \(Lambda\) calls"):
            explainer(network)(pictures)


@pytest.mark.parametrize("explainer", [GradCAM, *SWAPPING])
def test_a_relu_that_is_an_attribute_counts_like_a_layer(explainer):
    model = networks.Residual(layers.ReLU())
    maps = explainer(model)(PICTURES, 1)
    assert np.abs(maps).max() > 0
    model.relu = keras.activations.get("relu")
    assert_allclose(explainer(model)(PICTURES, 1), maps, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("explainer", SWAPPING)
def test_only_relus_on_the_way_to_the_score_count(explainer):
    """Without one the guided gradient would silently be the plain one; one elsewhere that escapes is no escape."""
    inputs = keras.Input((12, 12, 3))
    body = layers.Conv2D(3, 3, activation="silu")(inputs)
    with_relu = layers.Dense(2)(layers.Flatten()(layers.ReLU()(body)))
    without = layers.Dense(2)(layers.Flatten()(body))
    model = keras.Model(inputs, [with_relu, without, ops.relu(layers.Flatten()(inputs))])
    found = explainer(model, score=lambda outputs: outputs[0][:, 1])(PICTURES)
    assert np.abs(found).max() > 0
    assert_allclose(found, explainer(keras.Model(inputs, with_relu))(PICTURES, 1), rtol=1e-5, atol=1e-8)
    with pytest.raises(ValueError, match=r"lies between picture and score.*use Gradient"):
        explainer(model, score=lambda outputs: outputs[1][:, 0])(PICTURES)
    with pytest.raises(ValueError, match=r"no ReLU in 'swish'.*use Gradient"):
        explainer(keras.Model(inputs, without, name="swish"))(PICTURES)


def test_only_the_relus_of_the_cnn_are_swapped():
    """A picture and a question; ReLUs in the CNN and in the answering part."""
    pictures, question = keras.Input((12, 12, 3)), keras.Input((4,), dtype="int32")
    top = [layers.GlobalAveragePooling2D(), layers.Dense(6, activation="relu")]
    eye = keras.Sequential([*networks.body(), *top], name="eye")
    embedding, gru = layers.Embedding(9, 5), layers.GRU(6)
    answers = [layers.Dense(6, activation="relu"), layers.Dense(7)]
    joint = layers.Multiply()([eye(pictures), gru(embedding(question))])
    network = keras.Model([pictures, question], networks.chained(joint, answers))
    questions = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 7, 8]], np.int32)
    inside = GuidedBackprop(network, relus_in="eye")([PICTURES, questions], 3)
    everywhere = GuidedBackprop(network)([PICTURES, questions], 3)
    # the independent path: the answering part's own gradient at the CNN's output, guided through the CNN alone
    seen = eye(PICTURES)
    with tf.GradientTape() as tape:
        tape.watch(seen)
        outputs = networks.chained(seen * gru(embedding(questions)), answers)[:, 3]
    arriving = tape.gradient(outputs, seen)
    wanted = GuidedBackprop(eye, score=lambda features: ops.sum(features * arriving, axis=-1))(PICTURES)
    assert_allclose(inside, wanted, rtol=1e-4, atol=1e-7)
    assert not np.allclose(inside, everywhere)
    with pytest.raises(ValueError, match="no ReLU in 'embedding"):
        GuidedBackprop(network, relus_in=embedding)([PICTURES, questions], 3)


def test_several_pictures_are_refused():
    first, second = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    scores = layers.Dense(3)(layers.Flatten()(layers.ReLU()(layers.Add()([first, second]))))
    with pytest.raises(ValueError, match="2 inputs are pictures"):
        GuidedBackprop(keras.Model([first, second], scores))([PICTURES, PICTURES])


@tf.RegisterGradient("GuidedReluOfTheTest")
def _guided_relu(operation, gradient):
    outputs = operation.outputs[0]
    passed = (outputs > 0) & (gradient > 0) & ((outputs < 6) | (operation.type == "Relu"))
    return tf.where(passed, gradient, 0)


def test_mobilenet_equals_an_override_in_the_graph():
    """TensorFlow's own way to another gradient, the override map of a graph, gives the same."""
    options = {"weights": None, "classes": 4, "alpha": 0.35, "classifier_activation": None}
    network = keras.applications.MobileNetV2(input_shape=(32, 32, 3), **options)
    pictures = networks.images(2, 32)

    @tf.function(autograph=False)
    def overridden(images):
        names = {"Relu": "GuidedReluOfTheTest", "Relu6": "GuidedReluOfTheTest"}
        with tf.compat.v1.get_default_graph().gradient_override_map(names):
            score = network(images, training=False)[:, 1]
        return tf.gradients(score, images)[0]

    wanted = overridden(tf.constant(pictures)).numpy()
    assert np.abs(wanted).max() > 0
    found = GuidedBackprop(network)(pictures, 1)
    assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
