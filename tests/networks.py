"""Small networks of every kind for the explainers' tests; weights are random and fixed by the seed."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

CLASSES = 3
HAND_PICTURE = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)  # for `hand_network`


def images(batch=3, size=12, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, size, size, channels)).astype(np.float32)


def stack(*chain, shape=(12, 12, 3), name=None):
    return keras.Sequential([keras.Input(shape), *chain], name=name)


def functional(*chain, name=None):
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, chained(inputs, chain), name=name)


def chained(inputs, chain):
    return functools.reduce(lambda values, layer: layer(values), chain, inputs)


def logits(model, inputs, start=0):
    """What a `Sequential` model's last layer gives before its activation; inputs: those of layer number `start`."""
    *hidden, last = model.layers[start:]
    return chained(inputs, hidden) @ last.kernel + last.bias


def hand_network():
    """Captum's `BasicModel_ConvNet_One_Conv`: a 3x3 convolution 1 -> 2 of ones with biases -50 and -75, ReLU, and a
    dense layer 8 -> 4 (+1 for the first five features in channel-first order, -1 for the last three), ReLU."""
    convolution, dense = layers.Conv2D(2, 3, name="conv1"), layers.Dense(4, name="fc1")
    flat = [layers.Permute((3, 1, 2)), layers.Flatten()]
    model = stack(convolution, layers.ReLU(name="relu1"), *flat, dense, layers.ReLU(name="relu2"), shape=(4, 4, 1))
    convolution.set_weights([np.ones((3, 3, 1, 2)), np.array([-50, -75])])
    dense.set_weights([np.repeat([[1]] * 5 + [[-1]] * 3, 4, axis=1), np.zeros(4)])
    return model


def body():
    normed = [layers.Conv2D(4, 3, name="conv_a"), layers.BatchNormalization(name="norm")]
    first = [*normed, layers.Activation("relu", name="relu_a"), layers.MaxPooling2D(name="pool_a")]
    second = [layers.Conv2D(5, 3, padding="same", name="conv_b"), layers.ReLU(name="relu_b")]
    return [*first, *second, layers.MaxPooling2D(name="pool_b"), layers.Dropout(0.5, name="dropout")]


def head(activation="softmax"):
    hidden = layers.Dense(6, activation="relu", name="hidden")
    return [layers.Flatten(name="flatten"), hidden, layers.Dense(CLASSES, activation=activation, name="scores")]


def built_by_shape():
    model = keras.Sequential([*body(), *head()])
    model.build((None, 12, 12, 3))
    return model


class Subclassed(keras.Model):
    """Calls the layers of `chain`, by default body and head, one after the other."""

    def __init__(self, *chain):
        super().__init__()
        self.chain = list(chain) or [*body(), *head()]

    def call(self, inputs):
        return chained(inputs, self.chain)


class SubclassedNested(keras.Model):
    """Two models, the second of which is made only in `build`."""

    def __init__(self):
        super().__init__()
        self.outer = keras.Sequential(body(), name="outer")

    def build(self, shape):
        self.top = keras.Sequential(head(), name="top")
        self.outer.build(shape)
        self.top.build(self.outer.compute_output_shape(shape))

    def call(self, inputs, training=None):
        return self.top(self.outer(inputs, training=training), training=training)


class Decorated(Subclassed):
    """Its author put a `tf.function` on `call`."""

    call = tf.function(Subclassed.call)


class Residual(keras.Model):
    """The last feature map is the ReLU of a sum, both in `call`; the ReLU is an attribute, a function or a layer."""

    def __init__(self, relu):
        super().__init__()
        self.first, self.second, self.relu = layers.Conv2D(4, 3), layers.Conv2D(4, 3, padding="same"), relu
        self.top = layers.Dense(3)

    def features(self, inputs):
        shortcut = self.relu(self.first(inputs))
        return self.relu(self.second(shortcut) + shortcut)

    def scores(self, features):
        return self.top(ops.mean(tf.nn.max_pool2d(features, 2, 2, "VALID"), axis=(1, 2)))

    def call(self, inputs):
        return self.scores(self.features(inputs))


NESTED = {
    "sequential_in_functional": lambda: functional(keras.Sequential(body(), name="outer"), *head()),
    "functional_in_sequential": lambda: stack(functional(*body(), name="outer"), *head()),
    "twice_nested": lambda: stack(
        functional(functional(keras.Sequential(body(), name="innermost"), name="outer"), *head(), name="whole")
    ),
}
KINDS = {
    "sequential": lambda: stack(*body(), *head()),
    "never_called": lambda: keras.Sequential([*body(), *head()]),
    "built_by_shape": built_by_shape,
    "functional": lambda: functional(*body(), *head()),
    **NESTED,
    "Subclassed": Subclassed,
    "SubclassedNested": SubclassedNested,
    "decorated": lambda: stack(Decorated(*body()), *head()),
}


def make(kind):
    """A network of `kind` with weights that do not depend on the kind; batch statistics are not the default ones."""
    model = KINDS[kind]()
    model(images(1), training=False)
    rng = np.random.default_rng(1)
    # values in the order of the layers' names, so that all kinds are one and the same function
    layer_of = {layer.name: layer for layer in model._flatten_layers() if layer.weights and not layer._layers}
    for name in sorted(layer_of):
        powers = [(weight.shape, 2 if "variance" in weight.path else 1) for weight in layer_of[name].weights]
        layer_of[name].set_weights([rng.normal(0.1, 0.4, shape) ** power for shape, power in powers])
    return model
