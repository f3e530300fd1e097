"""Random Keras networks: layers and operators, functional, nested, subclassed and decorated, with one output or two."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

ACTIVATIONS = ["relu", "silu", "gelu", "tanh", "elu", "softplus", "relu6", "leaky_relu", "sigmoid", None]
OPERATORS = [ops.relu, ops.silu, ops.gelu, ops.tanh, ops.leaky_relu, lambda x: ops.maximum(x, 0.1 * x)]


class Network:
    """Random steps on maps, the last of which makes the last map; then a random head, of a third of the networks two,
    the second from the last map or an earlier one. `wanted` is the tape's map of the one that is explained."""

    def __init__(self, seed):
        self.rng, self.layers = np.random.default_rng(seed), []
        self.shape = (int(self.rng.integers(7, 13)), int(self.rng.integers(7, 13)), 3)
        kinds = [MAKERS[0], *self.rng.choice([*MAKERS, *MOVERS], self.rng.integers(0, 4)), self.rng.choice(MAKERS)]
        inputs = keras.Input(self.shape)
        maps, self.steps = [inputs], []
        for kind in kinds:
            self.steps.append(kind(self, maps[-1].shape))
            maps.append(self.steps[-1](maps[-1]))
        makers = [number for number, kind in enumerate(kinds, start=1) if kind in MAKERS]
        self.starts = [len(kinds), *self.pick([], [], [self.pick(*makers)])]  # how many steps go before each head
        self.backbone = keras.Model(inputs, [maps[start] for start in self.starts])
        self.heads, self.structure = [self.head(maps[start]) for start in self.starts], self.pick(list, tuple, named)
        self.functional = keras.Model(inputs, self.outputs(inputs))
        for weight in self.functional.weights:
            noise = self.rng.normal(0, 0.1, weight.shape)
            weight.assign(weight + np.abs(noise) if "variance" in weight.path else weight + noise)
        self.explained = self.pick(*range(len(self.heads)))

    def head(self, symbolic):
        """The steps from a map to class scores, and the activation behind them."""
        steps = []
        for kind in [*self.rng.choice(MOVERS, self.rng.integers(0, 2)), self.rng.choice(ENDS), dense]:
            steps.append(kind(self, symbolic.shape))
            symbolic = steps[-1](symbolic)
        last = "sigmoid" if symbolic.shape[-1] == 1 else "softmax"
        return [*steps, self.pick(lambda x: x, self.new(layers.Activation(last)), getattr(ops, last))]

    def new(self, layer):
        self.layers.append(layer)
        return layer

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def run(self, inputs, steps):
        for step in steps:
            inputs = step(inputs)
        return inputs

    def outputs(self, inputs):
        maps = [inputs]
        for step in self.steps:
            maps.append(step(maps[-1]))
        return self.joined([maps[start] for start in self.starts])

    def joined(self, maps):
        """The heads' outputs, two of them in the network's own structure."""
        outputs = [self.run(one, head) for one, head in zip(maps, self.heads, strict=True)]
        return self.structure(outputs) if len(outputs) > 1 else outputs[0]

    def model(self):
        """(kind, the network as a Keras model); all kinds share the layers."""
        kind = self.pick("functional", "subclassed", "nested", "decorated")
        if kind == "nested":
            inputs = keras.Input(self.shape)
            return kind, keras.Model(inputs, self.joined(self.backbone(inputs)))
        return kind, {"functional": lambda _: self.functional, "subclassed": Called, "decorated": Decorated}[kind](self)

    def output(self, model):
        """How the explained output is asked for: by its name or number; of a dict the numbers are those of its keys."""
        if len(self.heads) == 1:
            return self.pick(None, 0)
        if self.structure is named:
            return self.pick(HEADS[self.explained], sorted(HEADS).index(HEADS[self.explained]))
        return self.pick(self.explained, getattr(model, "output_names", range(2))[self.explained])

    def wanted(self, pictures):
        """(maps, classes)"""
        start, head = self.starts[self.explained], self.heads[self.explained]
        maps = self.run(tf.cast(pictures, self.backbone.compute_dtype), self.steps[:start])
        with tf.GradientTape() as tape:
            tape.watch(maps)
            scores = tf.cast(self.run(maps, head[:-1]), tf.float32)
            scores = tf.concat([-scores, scores], axis=-1) if scores.shape[-1] == 1 else scores
            classes = self.rng.integers(scores.shape[-1], size=len(pictures))
            score = tf.gather(scores, classes, batch_dims=1)
        weights = tf.reduce_mean(tf.cast(tape.gradient(score, maps), tf.float32), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(tf.cast(maps, tf.float32) * weights, axis=-1)).numpy(), classes


HEADS = "species", "age"


def named(outputs):
    return dict(zip(HEADS, outputs, strict=True))


class Called(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.own, self.outputs_of = [layer for layer in network.layers if layer.built], network.outputs

    def call(self, inputs):
        return self.outputs_of(inputs)


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
