"""Small networks of every kind for the explainers' tests; weights are random and fixed by the seed."""

import keras
import numpy as np
from keras import layers

CLASSES = 3


def hand_network():
    """Captum's `BasicModel_ConvNet_One_Conv`: a 3x3 convolution 1 -> 2 of ones with biases -50 and -75, ReLU, and a
    dense layer 8 -> 4 (+1 for the first five features in channel-first order, -1 for the last three), ReLU."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, name="conv1"),
            layers.ReLU(name="relu1"),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(4, name="fc1"),
            layers.ReLU(name="relu2"),
        ]
    )
    model.get_layer("conv1").set_weights([np.ones((3, 3, 1, 2)), np.array([-50, -75])])
    model.get_layer("fc1").set_weights([np.repeat([[1]] * 5 + [[-1]] * 3, 4, axis=1), np.zeros(4)])
    return model


def hand_picture():
    """The picture 0, 1, ... 15 of `hand_network`, [1, 4, 4, 1]."""
    return np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)


def images(batch=3, size=12, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, size, size, channels)).astype(np.float32)


def body():
    """Convolution, batch normalisation, ReLU, pooling, convolution with ReLU, pooling, dropout."""
    return [
        layers.Conv2D(4, 3, name="conv_a"),
        layers.BatchNormalization(name="norm"),
        layers.Activation("relu", name="relu_a"),
        layers.MaxPooling2D(name="pool_a"),
        layers.Conv2D(5, 3, padding="same", name="conv_b"),
        layers.ReLU(name="relu_b"),
        layers.MaxPooling2D(name="pool_b"),
        layers.Dropout(0.5, name="dropout"),
    ]


def head(activation="softmax"):
    return [
        layers.Flatten(name="flatten"),
        layers.Dense(6, activation="relu", name="hidden"),
        layers.Dense(CLASSES, activation=activation, name="scores"),
    ]


def chained(inputs, chain):
    for layer in chain:
        inputs = layer(inputs)
    return inputs


def sequential():
    return keras.Sequential([keras.Input((12, 12, 3)), *body(), *head()])


def never_called():
    return keras.Sequential([*body(), *head()])


def built_by_shape():
    model = never_called()
    model.build((None, 12, 12, 3))
    return model


def functional():
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, chained(inputs, [*body(), *head()]))


def sequential_in_functional():
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, chained(inputs, [keras.Sequential(body(), name="outer"), *head()]))


def functional_in_sequential():
    inputs = keras.Input((12, 12, 3))
    outer = keras.Model(inputs, chained(inputs, body()), name="outer")
    return keras.Sequential([keras.Input((12, 12, 3)), outer, *head()])


def twice_nested():
    inputs = keras.Input((12, 12, 3))
    innermost = keras.Sequential(body(), name="innermost")
    outer = keras.Model(inputs, chained(inputs, [innermost]), name="outer")
    whole = keras.Model(inputs, chained(inputs, [outer, *head()]), name="whole")
    return keras.Sequential([keras.Input((12, 12, 3)), whole])


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.chain = [*body(), *head()]

    def call(self, inputs):
        return chained(inputs, self.chain)


class SubclassedNested(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.outer = keras.Sequential(body(), name="outer")
        self.top = keras.Sequential(head(), name="top")

    def call(self, inputs, training=None):
        return self.top(self.outer(inputs, training=training), training=training)


KINDS = {
    kind.__name__: kind
    for kind in (
        sequential,
        never_called,
        built_by_shape,
        functional,
        sequential_in_functional,
        functional_in_sequential,
        twice_nested,
        Subclassed,
        SubclassedNested,
    )
}


def make(kind, seed=1):
    """A network of `kind` with weights that do not depend on the kind; batch statistics are not the default ones."""
    model = KINDS[kind]()
    model(images(1), training=False)
    rng = np.random.default_rng(seed)
    # values in the order of the layers' names, so that all kinds are one and the same function
    layer_of = {layer.name: layer for layer in model._flatten_layers() if layer.weights and not layer._layers}
    for name in sorted(layer_of):
        layer_of[name].set_weights(
            [
                rng.normal(0.1, 0.4, weight.shape) ** (2 if "variance" in weight.path else 1)
                for weight in layer_of[name].weights
            ]
        )
    return model
