"""Which feature map is the default one, of layers and of operators."""

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal
from test_tracing import PICTURES

from helpers.gradcam import CAM, GradCAM


class Operating(keras.Model):
    """What `function` of the features and the gate gives is averaged and classified."""

    def __init__(self, features, gate, top, function):
        super().__init__()
        self.features, self.gate, self.top, self.function = features, gate, top, function

    def call(self, inputs):
        features = self.features(inputs)
        return self.top(ops.mean(self.function(features, self.gate(features)), axis=(1, 2)))


def evened(gate):
    """Weights for the places that sum to one."""
    return ops.exp(gate) / ops.sum(ops.exp(gate), axis=(1, 2), keepdims=True)


class Weighted(layers.Layer):
    """A product with its weights, which are all ones, between inner layers that do nothing."""

    def build(self, shape):
        self.kernel, self.inner = self.add_weight(shape=(shape[-1], 2), initializer="ones"), layers.Identity()

    def call(self, maps):
        return self.inner(maps @ self.kernel)


OPERATORS = {  # a layer's form, an operator's form
    "product": (lambda maps, gate: layers.Multiply()([maps, gate]), lambda maps, gate: maps * gate),
    "sum": (lambda maps, gate: layers.Add()([maps, gate]), lambda maps, gate: maps + gate),
    "maximum": (lambda maps, gate: layers.Maximum()([maps, gate]), ops.maximum),
    "concatenate": (
        lambda maps, gate: layers.Concatenate()([maps, gate]),
        lambda maps, gate: ops.concatenate([maps, gate], axis=-1),
    ),
    "silu": (lambda maps, gate: layers.Activation("silu")(maps - gate), lambda maps, gate: ops.silu(maps - gate)),
    "gelu": (
        lambda maps, gate: layers.Activation("gelu")(maps - gate),
        lambda maps, gate: ops.gelu(maps - gate, False),
    ),
    "pooled": (
        lambda maps, gate: layers.MaxPooling2D()(layers.ReLU()(maps - gate)),
        lambda maps, gate: ops.max_pool(ops.relu(maps - gate), 2, 2),
    ),
    "attention": (
        lambda maps, gate: layers.Multiply()([layers.Activation(evened)(gate), maps]),
        lambda maps, gate: evened(gate) * maps,
    ),
    "dense": (
        lambda maps, gate: layers.EinsumDense("bhwk,kc->bhwc", (None, None, 2), kernel_initializer="ones")(maps),
        lambda maps, gate: Weighted()(maps),
    ),
    "padded": (
        lambda maps, gate: layers.ZeroPadding2D()(layers.Subtract()([maps, gate])),
        lambda maps, gate: ops.pad(maps - gate, ((0, 0), (1, 1), (1, 1), (0, 0))),
    ),
    "mean": (
        lambda maps, gate: layers.Average()([ops.tanh(maps), maps * gate]),
        lambda maps, gate: ops.mean(ops.stack([ops.tanh(maps), maps * gate]), axis=0),
    ),
    "maxout": (
        lambda maps, gate: layers.Maximum()([(maps - gate)[..., ::2], (maps - gate)[..., 1::2]]),
        lambda maps, gate: ops.max(ops.reshape(maps - gate, (-1, 10, 10, 2, 2)), axis=-1),
    ),
    "lambda": (
        lambda maps, gate: layers.Multiply()([maps, gate]),
        lambda maps, gate: layers.Lambda(lambda both: ops.average_pool(both[0] * both[1], 2))([maps, gate]),
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_make_feature_maps_as_layers_do(name):
    by_layer, by_operator = OPERATORS[name]
    features, gate = layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(1, 5, padding="same", activation="sigmoid")
    inputs, top = keras.Input((12, 12, 3)), layers.Dense(3)
    maps = features(inputs)
    made = [form(maps, gate(maps)) for form in (by_layer, by_operator)]
    first, *others = [keras.Model(inputs, top(layers.GlobalAveragePooling2D()(one))) for one in made]
    if name not in ("lambda", "dense"):
        others.append(Operating(features, gate, top, by_operator))
    wanted = GradCAM(first)(PICTURES, [0, 1, 2])
    assert wanted.max() > 0
    for other in others:
        assert_allclose(GradCAM(other)(PICTURES, [0, 1, 2]), wanted, rtol=1e-4, atol=1e-7)


def generalised_mean(maps):
    return ops.mean(ops.maximum(maps, 1e-6) ** 3.0, axis=(1, 2)) ** (1 / 3)


def weights_of_places(maps):
    return layers.Softmax(axis=(1, 2))(layers.Conv2D(1, 1, name="attention")(maps))[..., 0]


POOLINGS = {
    "generalised mean": generalised_mean,
    "of a layer": lambda maps: layers.GlobalAveragePooling2D()(ops.maximum(maps, 1e-6) ** 3.0) ** (1 / 3),
    "root mean square": lambda maps: ops.sqrt(ops.mean(ops.square(maps), axis=(1, 2)) + 1e-9),
    "log mean exp": lambda maps: ops.log(ops.mean(ops.exp(maps), axis=(1, 2))),
    "attention": lambda maps: ops.einsum("bhwk,bhw->bk", maps, weights_of_places(maps)),
    "attention by matrices": lambda maps: layers.Flatten()(
        ops.reshape(weights_of_places(maps), (-1, 1, 100)) @ ops.reshape(maps, (-1, 100, 4))
    ),
}


@pytest.mark.parametrize("pool", POOLINGS)
def test_poolings_written_with_operators_make_no_map(pool):
    inputs = keras.Input((12, 12, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="eye")(inputs)
    network = keras.Model(inputs, layers.Dense(3)(POOLINGS[pool](maps)))
    wanted = GradCAM(network, "eye")(PICTURES, [0, 1, 2])
    assert wanted.max() > 0
    assert_allclose(GradCAM(network)(PICTURES, [0, 1, 2]), wanted, rtol=1e-4, atol=1e-6 * wanted.max())


@pytest.mark.parametrize("pool", [ops.logsumexp, ops.var, ops.std])
def test_a_pooling_of_several_operations_makes_no_map(pool):
    inputs, convolution = keras.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu", name="features")
    top = layers.Dense(3)
    explain = GradCAM(keras.Model(inputs, top(pool(convolution(inputs), axis=(1, 2)))))
    with tf.GradientTape() as tape:
        maps = convolution(PICTURES)
        tape.watch(maps)
        score = top(pool(maps, axis=(1, 2)))[:, 1]
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    wanted = np.maximum(tf.reduce_sum(weights * maps, axis=-1), 0)
    assert_allclose(explain(PICTURES, 1), wanted, rtol=1e-3, atol=1e-8)
    assert explain.layer_path == "features"


class Segmenter(keras.Model):
    """One class for each place; the softmax is an operator."""

    def __init__(self, *chain):
        super().__init__()
        self.chain = list(chain)

    def call(self, inputs):
        return ops.softmax(networks.chained(inputs, self.chain))


def segmenting(*behind):
    return [layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(5, 3, activation="relu", name="last"), *behind]


def detecting():
    inputs = keras.Input((12, 12, 3))
    fine = networks.chained(inputs, segmenting())
    coarse = layers.MaxPooling2D()(fine)
    heads = [layers.Reshape((-1, 6))(layers.Conv2D(12, 1)(maps)) for maps in (fine, coarse)]
    return keras.Model(inputs, layers.Activation("sigmoid")(layers.Concatenate(axis=1)(heads)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: networks.functional(*segmenting(layers.Conv2D(2, 1, activation="softmax"))),
        lambda: networks.functional(*segmenting(layers.Conv2D(2, 1), layers.BatchNormalization(), layers.Softmax())),
        lambda: networks.functional(*segmenting(layers.Conv2D(2, 1), layers.UpSampling2D(2), layers.Softmax())),
        lambda: networks.functional(*segmenting(layers.Conv2D(1, 1, use_bias=False), layers.Flatten())),
        lambda: networks.functional(*segmenting(layers.Dense(2))),
        lambda: Segmenter(*segmenting(layers.Conv2D(2, 1))),
        detecting,
    ],
)
def test_a_segmenting_or_detecting_network_is_not_explained_by_its_own_output(make):
    explain = GradCAM(make(), score=lambda outputs: tf.reshape(outputs, [tf.shape(outputs)[0], -1])[:, 1])
    assert explain(PICTURES).shape == (3, 8, 8) and explain.layer_path == "last"


def test_a_map_that_is_one_of_several_outputs_explains_the_other():
    inputs = keras.Input((12, 12, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="last")(layers.Conv2D(3, 3)(inputs))
    scores = layers.Dense(3)(layers.GlobalAveragePooling2D()(maps))
    explain = GradCAM(keras.Model(inputs, [maps, scores]), score=lambda outputs: outputs[1][:, 1])
    assert_array_equal(explain(PICTURES), GradCAM(keras.Model(inputs, scores))(PICTURES, 1))
    assert explain.layer_path == "last"


def test_layers_called_by_keyword():
    convolution, pool = layers.Conv2D(4, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D()
    model = networks.functional(convolution, lambda maps: pool(inputs=maps), layers.Dense(3))
    cam = CAM(model)(PICTURES, 1)
    assert_allclose(GradCAM(model, "conv")(PICTURES, 1), np.maximum(cam, 0) / 100, rtol=1e-4, atol=1e-7)
