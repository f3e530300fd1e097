"""Small networks of every kind for the explainers' tests; weights are random and fixed by the seed."""

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from helpers.gradcam import GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM

EXPLAINERS = [GradCAM, GuidedBackprop, Deconvnet, GuidedGradCAM, Gradient]

CLASSES = 3
HAND_PICTURE = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)  # for `hand_network`


def images(batch=3, size=12, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, size, size, channels)).astype(np.float32)


@contextlib.contextmanager
def under(policy):
    """What is built inside computes in this dtype policy."""
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


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


def two_headed(structured=lambda species, age: [species, age]):
    """Three species and, by a single unit, young or old; the outputs as `structured` gives them."""
    inputs = keras.Input((12, 12, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="eye")(inputs))
    species = layers.Dense(3, activation="softmax", name="species")(features)
    age = layers.Dense(1, activation="sigmoid", name="age")(features)
    return keras.Model(inputs, structured(species, age))


class TwoHeaded(keras.Model):
    """A subclassed model around a functional one, with the outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.inner = two_headed()

    def call(self, inputs):
        species, age = self.inner(inputs)
        return {"species": species, "age": age}


def siamese(structured=lambda left, right: [left, right]):
    """One encoder for two pictures; what is scored is how they differ."""
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((12, 12, 3), name="right")
    encoder = layers.Conv2D(4, 3, activation="relu", name="encoder")
    behind = [encoder, layers.GlobalAveragePooling2D(), layers.Dense(5, name="dense")]
    difference = layers.Subtract()([chained(side, behind) for side in (left, right)])
    return keras.Model(structured(left, right), layers.Dense(2, name="scores")(difference))


class Block(layers.Layer):
    """A Transformer's block, as in keras.io's Vision Transformer; attention as a layer, or spelled out."""

    def __init__(self, width, by_hand, name):
        super().__init__(name=name)
        self.before, self.behind = layers.LayerNormalization(name="before"), layers.LayerNormalization(name="behind")
        self.inside = [layers.Dense(2 * width, activation="gelu", name="wider"), layers.Dense(width, name="back")]
        self.attention = layers.Dense(3 * width, name="qkv") if by_hand else layers.MultiHeadAttention(2, 4, name="mha")
        self.by_hand = by_hand

    def attended(self, tokens):
        if not self.by_hand:
            return self.attention(tokens, tokens)
        query, key, value = ops.split(self.attention(tokens), 3, axis=-1)
        return ops.softmax(query @ ops.transpose(key, (0, 2, 1))) @ value

    def rest(self, tokens, normed):
        tokens = tokens + self.attended(normed)
        return tokens + chained(self.behind(tokens), self.inside)

    def call(self, tokens):
        return self.rest(tokens, self.before(tokens))


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal")

    def call(self, tokens):
        return ops.concatenate([ops.broadcast_to(self.token, (ops.shape(tokens)[0], 1, tokens.shape[-1])), tokens], 1)


def vision_transformer(read, further=1, by_hand=False):
    """Pictures 12 x 12 as 3 rows of 4 tokens, two blocks; `read`: what of the tokens [B, T, 8] goes to the classes;
    further: tokens before them."""
    patches = [layers.Conv2D(8, (4, 3), (4, 3), name="patches"), layers.Reshape((12, 8))]
    blocks = [Block(8, by_hand, "first"), Block(8, by_hand, "second"), layers.LayerNormalization(name="last")]
    tokens = [ClassToken() for _ in range(further)]
    return functional(*patches, *tokens, *blocks, layers.Lambda(read), layers.Dense(CLASSES, name="scores"))
