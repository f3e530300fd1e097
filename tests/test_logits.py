"""What is explained is the logit, however the outputs are made of it."""

import tempfile

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal
from test_tracing import PICTURES

from helpers import viewer
from helpers.gradcam import CAM, ClassMaps, GradCAM
from helpers.guided import Gradient, GuidedBackprop

NO_CAM = "CAM is defined for networks that end in GlobalAveragePooling2D and Dense"


@pytest.mark.parametrize(
    "head",
    [
        networks.head,
        lambda: [*networks.head(None), layers.Softmax()],
        lambda: [*networks.head(None), layers.Activation("softmax")],
        lambda: [*networks.head(None), ops.softmax],
        lambda: [*networks.head(None), layers.Activation("softmax"), layers.Activation("linear", dtype="float32")],
        lambda: [*networks.head(None), keras.Sequential([keras.Sequential([layers.Softmax()])])],
    ],
)
def test_every_spelling_of_softmax_is_explained_at_the_logit(head):
    logits = networks.stack(*networks.body(), *networks.head(None))
    model = networks.functional(*networks.body(), *head())
    model.set_weights(logits.get_weights())
    explain, wanted = GradCAM(model), GradCAM(logits)
    for classes in (0, [2, 0, 1], None):
        assert_allclose(explain(PICTURES, classes), wanted(PICTURES, classes), rtol=1e-5, atol=1e-9)


def test_saturated_softmax_still_has_a_map():
    """At probability 1 the softmax has no gradient left; the logit has."""
    model = networks.make("sequential")
    before = GradCAM(model)(PICTURES, 1)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 1000)
    assert model.predict(PICTURES, verbose=0).max() == 1 and before.max() > 0
    assert_allclose(GradCAM(model)(PICTURES, 1), 1000 * before, rtol=1e-4)


def test_softmax_in_the_middle_stays():
    inputs = keras.Input((12, 12, 3))
    features = layers.Conv2D(4, 3, activation="relu")(inputs)
    attention = layers.Softmax()(layers.Dense(100)(layers.GlobalAveragePooling2D()(features)))
    seen = layers.Flatten()(layers.Multiply()([features, layers.Reshape((10, 10, 1))(attention)]))
    logits = layers.Dense(3)(seen)
    model, pictures = keras.Model(inputs, layers.Softmax()(logits)), tf.Variable(PICTURES)
    with tf.GradientTape() as tape:
        score = keras.Model(inputs, logits)(pictures)[:, 1]
    assert_allclose(Gradient(model)(PICTURES, 1), tape.gradient(score, pictures), rtol=1e-4, atol=1e-7)


constant = keras.initializers.Constant


def average(*ends):
    return lambda values: layers.Average()([networks.chained(values, end) for end in ends])


def unit(bias, activation=None):
    return layers.Dense(1, activation=activation, bias_initializer=constant(bias))


def served(*chain):
    """As Keras opens a SavedModel: one operation that calls a function."""
    folder = tempfile.mkdtemp()
    networks.stack(*chain, shape=(4,)).export(folder, verbose=False)
    return layers.TFSMLayer(folder, call_endpoint="serve")


ALREADY_PROBABILITIES = {
    "average": lambda: [average([unit(-4, "sigmoid")], [unit(-5, "sigmoid")])],
    "clip": lambda: [unit(-4, "sigmoid"), lambda p: ops.clip(p, 0.001, 0.999)],
    "hard_sigmoid": lambda: [unit(-2, "hard_sigmoid")],
    "tanh": lambda: [unit(-2, "tanh"), lambda t: (t + 1) / 2],
    "Lambda": lambda: [unit(-2), layers.Lambda(lambda v: 1 - 1 / (1 + tf.exp(v)))],
    "served": lambda: [served(unit(-4, "sigmoid"))],
    "average of three": lambda: [average([layers.Dense(3, activation="softmax")], [layers.Dense(3), layers.Softmax()])],
    "share": lambda: [layers.Dense(3, activation="softplus"), lambda x: x / ops.sum(x, axis=-1, keepdims=True)],
    "exp": lambda: [layers.Dense(3, activation="log_softmax"), ops.exp],
    "clip of three": lambda: [layers.Dense(3, activation="softmax"), lambda p: ops.clip(p, 1e-7, 1 - 1e-7)],
    "each by itself": lambda: [layers.Dense(3, activation="hard_sigmoid")],
}


@pytest.mark.parametrize("name", ALREADY_PROBABILITIES)
def test_probabilities_are_not_squashed_again(name):
    chain = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), *ALREADY_PROBABILITIES[name]()]
    network = networks.functional(*chain)
    p = network(PICTURES).numpy()
    both = np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p
    assert_allclose(viewer.Probabilities(network)(PICTURES), both, atol=1e-6)
    explain = Gradient(network)
    assert_array_equal(explain(PICTURES), explain(PICTURES, both.argmax(axis=-1)))
    with tf.GradientTape() as tape:
        pictures = tf.Variable(PICTURES)
        score = network(pictures)[:, -1]
    assert_allclose(explain(PICTURES, both.shape[-1] - 1), tape.gradient(score, pictures), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("behind", ["softmax", "sigmoid"])
def test_probabilities_of_places_are_averaged_not_squashed_again(behind):
    units = {"softmax": 3, "sigmoid": 1}[behind]
    start = [layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(units, 1, activation=behind)]
    network = networks.functional(*start, layers.GlobalAveragePooling2D())
    p = network(PICTURES).numpy()
    assert_allclose(viewer.Probabilities(network)(PICTURES)[:, -1], p[:, -1], atol=1e-6)


@pytest.mark.parametrize(
    "end",
    [
        lambda: [unit(0.3)],
        lambda: [average([unit(0.3)], [unit(0.2)])],
        lambda: [unit(3.0), layers.Rescaling(0.1)],
        lambda: [unit(0.3), layers.Activation("linear", dtype="float32")],
        lambda: [served(layers.Dense(4), unit(0.3))],
    ],
)
def test_a_logit_that_happens_to_lie_between_0_and_1_stays_one(end):
    """0.3 as a probability would be class 0, as a logit it is class 1."""
    network = networks.functional(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), *end())
    pictures = PICTURES * 1e-3
    values = network(pictures).numpy()
    assert values.min() > 0.1 and values.max() < 0.5
    assert_allclose(viewer.Probabilities(network)(pictures)[:, 1:], 1 / (1 + np.exp(-values)), rtol=1e-5)


def normed(*chain):
    """Logits of 0.3 and a little, whatever the pictures are."""
    return [layers.LayerNormalization(gamma_initializer=constant(1e-3)), *chain]


@pytest.mark.parametrize(
    "chain",
    [
        lambda: normed(unit(0.3), lambda x: ops.transpose(ops.transpose(x))),
        lambda: normed(unit(0.3), lambda x: ops.expand_dims(ops.squeeze(x, -1), -1)),
        lambda: normed(layers.Dense(3, bias_initializer=constant(0.3)), lambda x: ops.max(x, -1, keepdims=True)),
        lambda: normed(unit(0.3), layers.Reshape((1, 1, 1)), layers.MaxPooling2D(1), layers.Flatten()),
        lambda: normed(unit(0.3), lambda x: ops.flip(x, 1)),
        lambda: normed(unit(0.3), lambda x: ops.take(ops.tile(x, (1, 2)), [1], axis=1)),
        lambda: normed(unit(0.3), lambda x: ops.split(ops.pad(ops.where(True, x, 0.0), ((0, 0), (1, 0))), 2, 1)[1]),
        lambda: normed(unit(0.3), lambda x: ops.unstack(ops.roll(ops.stack([x, x]), 1, axis=0))[0]),
    ],
)
def test_a_logit_stays_one_however_it_is_passed_on(chain):
    network = networks.functional(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), *chain())
    values = network(PICTURES).numpy()
    assert values.min() > 0.2 and values.max() < 0.4
    assert_allclose(viewer.Probabilities(network)(PICTURES)[:, 1:], 1 / (1 + np.exp(-values)), rtol=1e-5)


def test_percentages_are_said_to_be_some():
    percent = [layers.Dense(3, activation="softmax"), lambda p: 100 * p]
    network = networks.functional(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), *percent)
    with pytest.raises(ValueError, match=r"shares that sum to 100, .* divided by it"):
        viewer.Probabilities(network)(PICTURES)
    tenths = networks.functional(network, lambda p: p / 100)
    assert_allclose(viewer.Probabilities(tenths)(PICTURES), network(PICTURES) / 100, rtol=1e-5)


def test_one_unit_that_is_neither_probability_nor_logit():
    network = networks.functional(layers.Flatten(), layers.Dense(1, activation="relu", bias_initializer="ones"))
    with pytest.raises(ValueError, match=r"one output, .* no probability and has always one sign.*pass score=lambda"):
        Gradient(network)(PICTURES)
    assert np.isfinite(Gradient(network, score=lambda outputs: outputs[:, 0])(PICTURES)).all()


def no_classes():
    return networks.stack(layers.Conv2D(4, 3, activation="relu"))


def end(*behind, kernel=3, name=None):
    return networks.functional(layers.Conv2D(4, kernel), *behind, layers.Dense(3), name=name)


def activated(activation="relu"):
    hidden = layers.Dense(3, activation=activation, name="hidden")
    return networks.functional(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), hidden, layers.Softmax())


def quantised():
    network = activated(None)
    network.get_layer("hidden").quantize("int8")
    return network


def rounded(outputs):
    return ops.cast(ops.argmax(outputs[:, 0, 0], axis=-1), "float32")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: GradCAM(networks.make("sequential"), "hidden"), r"'hidden' gives \['B', 6\].*conv_a.*relu_b"),
        (
            lambda: GradCAM(networks.stack(layers.Rescaling(2.0), *networks.head())),
            "no layer on the path to the score gives a 4-D",
        ),
        (lambda: GradCAM(no_classes()), r"\['B', 10, 10, 4\] is no classifier's \[B, N\]; pass score"),
        (lambda: GradCAM(no_classes(), score=ops.sum), r"score: it gives shape \(\)"),
        (lambda: Gradient(no_classes(), rounded), r"score: it has no gradient with respect to|not on the path"),
        (lambda: CAM(end(layers.GlobalMaxPooling2D())), NO_CAM),
        (lambda: CAM(end(layers.Flatten())), NO_CAM),
        (lambda: ClassMaps(end(layers.GlobalAveragePooling2D())), "use CAM"),
        (lambda: GradCAM(end(layers.Flatten(), kernel=12)), "several places.*these do: conv2d"),
        (lambda: CAM(activated()), "its dense layer 'hidden' has an activation.*use GradCAM"),
        (
            lambda: CAM(quantised()),
            r"dense layer 'hidden' are quantised \(int8\).*use CAM before `quantize`, or GradCAM",
        ),
        (
            lambda: GuidedBackprop(end(layers.ReLU(), ops.relu, layers.Flatten(), name="whole")),
            r"ReLU 'whole.*Relu' is a function that 'whole' \(Functional\) calls",
        ),
    ],
)
def test_models_layers_and_scores_that_cannot_be_explained(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()(PICTURES)
