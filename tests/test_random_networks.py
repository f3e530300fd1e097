"""Grad-CAM of random networks equals a plain tape's: layers and operators, functional, nested and subclassed, each
precision. 30 networks by default; NETWORKS=1000 in the environment makes it so many, and `-s` shows the counts."""

import collections
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from helpers.gradcam import GradCAM

NETWORKS = int(os.environ.get("NETWORKS", "30"))
POLICIES = ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"]
ACTIVATIONS = ["relu", "silu", "gelu", "tanh", "elu", "softplus", "relu6", "leaky_relu", "sigmoid", None]
OPERATORS = [ops.relu, ops.silu, ops.gelu, ops.tanh, ops.leaky_relu, lambda x: ops.maximum(x, 0.1 * x)]


class Network:
    """Random steps on maps, the last of which makes the last map; then a random head; `wanted` is their tape's map."""

    def __init__(self, seed):
        self.rng, self.layers = np.random.default_rng(seed), []
        inputs = symbolic = keras.Input((int(self.rng.integers(7, 13)), int(self.rng.integers(7, 13)), 3))
        kinds = [MAKERS[0], *self.rng.choice([*MAKERS, *MOVERS], self.rng.integers(0, 4)), self.rng.choice(MAKERS)]
        self.steps = []
        for kind in kinds:
            self.steps.append(kind(self, symbolic.shape))
            symbolic = self.steps[-1](symbolic)
        self.maps, self.head = keras.Model(inputs, symbolic), []
        for kind in [*self.rng.choice(MOVERS, self.rng.integers(0, 2)), self.rng.choice(ENDS), dense]:
            self.head.append(kind(self, symbolic.shape))
            symbolic = self.head[-1](symbolic)
        self.units = symbolic.shape[-1]
        last = "sigmoid" if self.units == 1 else "softmax"
        self.last = self.pick(lambda x: x, self.new(layers.Activation(last)), getattr(ops, last))
        self.functional = keras.Model(inputs, self.last(symbolic))
        for weight in self.functional.weights:
            noise = self.rng.normal(0, 0.1, weight.shape)
            weight.assign(weight + np.abs(noise) if "variance" in weight.path else weight + noise)

    def new(self, layer):
        self.layers.append(layer)
        return layer

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def run(self, inputs, steps):
        for step in steps:
            inputs = step(inputs)
        return inputs

    def model(self):
        """(kind, the network as a Keras model); all kinds share the layers."""
        kind = self.pick("functional", "subclassed", "nested", "decorated")
        if kind == "nested":
            inputs = keras.Input(self.maps.input_shape[1:])
            return kind, keras.Model(inputs, self.last(self.run(self.maps(inputs), self.head)))
        return kind, {"functional": lambda _: self.functional, "subclassed": Called, "decorated": Decorated}[kind](self)

    def wanted(self, pictures, classes):
        maps = self.run(tf.cast(pictures, self.maps.compute_dtype), self.steps)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            scores = tf.cast(self.run(maps, self.head), tf.float32)
            scores = tf.concat([-scores, scores], axis=-1) if self.units == 1 else scores
            score = tf.gather(scores, classes, batch_dims=1)
        weights = tf.reduce_mean(tf.cast(tape.gradient(score, maps), tf.float32), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(tf.cast(maps, tf.float32) * weights, axis=-1)).numpy()


class Called(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.own = [layer for layer in network.layers if layer.built]
        self.steps = (*network.steps, *network.head, network.last)

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return inputs


class Decorated(Called):
    call = tf.function(Called.call)


def convolution(network, shape):
    options = {"padding": "same", "activation": network.pick(*ACTIVATIONS), "use_bias": network.pick(True, False)}
    kind = network.pick(layers.Conv2D, layers.Conv2D, layers.SeparableConv2D, layers.Conv2DTranspose)
    strides = network.pick(1, 2) if min(shape[1:3]) > 5 and kind is not layers.Conv2DTranspose else 1
    return network.new(kind(int(network.rng.integers(2, 7)), network.pick(1, 3), strides=strides, **options))


def depthwise(network, shape):
    return network.new(layers.DepthwiseConv2D(3, padding="same", activation=network.pick(*ACTIVATIONS)))


def of_each_place(network, shape):
    normalised = network.pick(layers.BatchNormalization, layers.LayerNormalization, layers.UnitNormalization)()
    groups = layers.GroupNormalization(groups=1)
    return network.new(network.pick(normalised, groups, layers.Dense(4), layers.Dense(3, use_bias=False)))


def activation(network, shape):
    named = layers.Activation(network.pick(*ACTIVATIONS))
    written = layers.Lambda(network.pick(tf.nn.relu, lambda x: x * tf.sigmoid(x)))
    return network.new(
        network.pick(named, written, layers.ReLU(), layers.ReLU(max_value=3.0), layers.PReLU(), layers.ELU())
    )


def operator(network, shape):
    return network.pick(*OPERATORS)


def two_parts(network, shape):
    """The maps and a convolution of them, joined by a layer or an operator."""
    other = network.new(layers.Conv2D(shape[-1], 3, padding="same", activation=network.pick(*ACTIVATIONS)))
    kinds = [layers.Add, layers.Multiply, layers.Concatenate, layers.Average, layers.Maximum, layers.Subtract]
    join = network.new(network.pick(*kinds)())
    return network.pick(
        lambda x: join([x, other(x)]),
        lambda x: x + other(x),
        lambda x: x * other(x),
        lambda x: ops.relu(x - other(x)),
        lambda x: ops.concatenate([other(x), x], axis=-1),
    )


def gated(network, shape):
    """Squeeze and excitation, or one weight for each place."""
    dense = network.new(layers.Dense(shape[-1], activation="sigmoid"))
    place = network.new(layers.Conv2D(1, 3, padding="same", activation="sigmoid"))
    times = network.new(layers.Multiply())
    return network.pick(
        lambda x: x * dense(ops.mean(x, axis=(1, 2), keepdims=True)),
        lambda x: times([x, dense(ops.mean(x, axis=(1, 2), keepdims=True))]),
        lambda x: place(x) * x,
        lambda x: x * place(ops.mean(x, axis=-1, keepdims=True)),
        lambda x: x * (place(x) / ops.sum(place(x), axis=(1, 2), keepdims=True)),
    )


def moved(network, shape):
    """What makes no map of its own."""
    smaller = [layers.MaxPooling2D(2), layers.AveragePooling2D(2), layers.Cropping2D(1)] if min(shape[1:3]) > 4 else []
    same = [layers.Dropout(0.5), layers.SpatialDropout2D(0.5), layers.ZeroPadding2D(1), layers.UpSampling2D(2)]
    functions = [lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0))), lambda x: x[:, 1:, :]]
    functions += [lambda x: ops.max_pool(x, 2, 2), lambda x: ops.average_pool(x, 2, 1)] if smaller else []
    return network.pick(*functions, *map(network.new, [*smaller, *same]))


def flattened(network, shape):
    return network.pick(*map(network.new, [layers.Flatten(), layers.Reshape((int(np.prod(shape[1:])),))]))


def pooled(network, shape):
    chosen = [layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D()]
    return network.pick(lambda x: ops.mean(x, axis=(1, 2)), lambda x: ops.max(x, (1, 2)), *map(network.new, chosen))


def squeezed(network, shape):
    """A convolution of one place."""
    chain = [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(5, 1, activation="relu"), layers.Flatten()]
    made = [network.new(layer) for layer in chain]
    return lambda x: network.run(x, made)


def attention(network, shape):
    """A layer's, or written by hand."""
    attend, query = network.new(layers.MultiHeadAttention(2, 3)), network.new(layers.Dense(shape[-1]))
    places = int(np.prod(shape[1:3]))

    def by_hand(x):
        tokens = ops.reshape(x, (-1, places, shape[-1]))
        return ops.mean(ops.softmax(query(tokens) @ ops.transpose(tokens, (0, 2, 1))) @ tokens, axis=1)

    def by_layer(x):
        tokens = ops.reshape(x, (-1, places, shape[-1]))
        return ops.mean(attend(tokens, tokens) + tokens, axis=1)

    return network.pick(by_hand, by_layer)


def dense(network, shape):
    hidden = network.new(layers.Dense(6, activation=network.pick(*ACTIVATIONS)))
    scores = network.new(layers.Dense(network.pick(1, 2, 3, 5), dtype=network.pick(None, "float32")))
    return network.pick(scores, lambda x: scores(hidden(x)))


MAKERS = [convolution, depthwise, of_each_place, activation, operator, two_parts, gated]
MOVERS = [moved]
ENDS = [flattened, pooled, squeezed, attention]


def compared(seed):
    """Network number `seed`: its kind, and how far its map is from the tape's, or the error."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    network = Network(seed)
    kind, model = network.model()
    pictures = network.rng.normal(size=(2, *network.maps.input_shape[1:])).astype(np.float32)
    classes = network.rng.integers(max(network.units, 2), size=2)
    wanted = network.wanted(pictures, classes)
    try:
        maps = GradCAM(model)(pictures, classes)
    except ValueError as error:
        return kind, error
    return kind, np.abs(maps - wanted).max() / max(wanted.max(), 1e-6) if maps.shape == wanted.shape else np.inf


@pytest.mark.parametrize("policy", POLICIES)
def test_grad_cam_of_random_networks_is_the_tapes(policy):
    """To a thousandth of the map's maximum, or an error."""
    counts, wrong = collections.Counter(), []
    keras.config.set_dtype_policy(policy)
    try:
        for seed in range(POLICIES.index(policy), NETWORKS, len(POLICIES)):
            kind, gap = compared(seed)
            found = "error" if isinstance(gap, ValueError) else "equal" if gap <= 1e-3 else "other"
            counts[kind, found] += 1
            if found != "equal":
                wrong.append((seed, kind, gap))
    finally:
        keras.config.set_dtype_policy("float32")
    print(policy, *sorted(counts.items()), *wrong, sep="\n")
    assert all(isinstance(gap, ValueError) for _, _, gap in wrong)
