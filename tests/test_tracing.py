"""Looking into models: the right layer, the last feature map and the logit are found in every kind of model."""

import collections
import tempfile

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal

from helpers import tracing, viewer
from helpers.gradcam import CAM, ClassMaps, GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.maps import resize

PICTURES = networks.images()
NO_CAM = "CAM is defined for networks that end in GlobalAveragePooling2D and Dense"


def test_layer_by_path_or_unique_name():
    paths = tracing.layer_paths(networks.make("sequential_in_functional"))
    assert "outer" in paths and paths["outer/conv_b"].name == "conv_b" and "conv_b" not in paths
    model = networks.make("twice_nested")
    for wanted in ("whole/outer/innermost/conv_a", "conv_a"):
        found = tracing.find_layer(model, wanted)
        assert found.name == "conv_a" and tracing.find_layer(model, found) is found


def test_namesakes_are_told_apart_and_unknown_ambiguous_and_foreign_layers_refused():
    """Two sub-models of one name, as Keras allows in a subclassed model."""
    convolutions = [layers.Conv2D(units, 3, name="conv") for units in (4, 5)]
    first, second = (keras.Sequential([conv, layers.ReLU(name="relu")], name="block") for conv in convolutions)
    model = networks.Subclassed(first, second, layers.GlobalAveragePooling2D(), layers.Dense(3))
    model(PICTURES)
    assert tracing.layer_paths(model)["block#2/conv"] is second.layers[0]
    for layer, name, side in ((first.layers[1], "block/relu", 10), (second.layers[1], "block#2/relu", 8)):
        explain = GradCAM(model, layer)
        assert explain(PICTURES, 1).shape == (3, side, side) and explain.layer_path == name
        assert_array_equal(explain(PICTURES, 1), GradCAM(model, name)(PICTURES, 1))
    with pytest.raises(ValueError, match="'conv' is ambiguous; choose one of block/conv, block#2/conv"):
        GradCAM(model, "conv")
    with pytest.raises(ValueError, match=r"'convv' is unknown; choose one of block, block#2.*block/conv"):
        GradCAM(model, "convv")
    with pytest.raises(ValueError, match="is not in the model"):
        GradCAM(model, layers.Conv2D(2, 3))
    late = networks.SubclassedNested()
    with pytest.raises(ValueError, match="'hidden' is unknown; call the model once"):
        GradCAM(late, "hidden")
    assert np.isfinite(GuidedBackprop(late)(PICTURES)).all()  # all layers are made before their ReLUs are swapped
    assert tracing.find_layer(late, "hidden").name == "hidden"


def test_layer_off_the_path_and_layer_never_called():
    inputs = keras.Input((12, 12, 3))
    main, side = layers.Conv2D(2, 3, name="main")(inputs), layers.Conv2D(2, 3, name="side")(inputs)
    model = keras.Model(inputs, [layers.Dense(3)(layers.Flatten()(maps)) for maps in (main, side)])
    with pytest.raises(ValueError, match=r"'side' is not on the path to the score; these do: main"):
        GradCAM(model, "side", score=lambda outputs: outputs[0][:, 1])(PICTURES)
    assert GradCAM(model, score=lambda outputs: outputs[0][:, 1])(PICTURES).shape == (3, 10, 10)  # side is skipped
    lazy = networks.Subclassed()
    lazy.unused = layers.ReLU(name="unused")
    with pytest.raises(ValueError, match="'unused' is not called"):
        GradCAM(lazy, "unused")(PICTURES)


def attending(attention):
    return [layers.Reshape((100, 4)), lambda tokens: attention(tokens, tokens), layers.GlobalAveragePooling1D()]


def squeezed():
    squeeze = [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(8, 1, activation="relu")]
    return [*squeeze, layers.Conv2D(3, 1), layers.Flatten(), layers.Softmax()]


class OwnAttention(layers.Layer):
    """Written by hand, each window of a map [B, 10, 10, 4] by itself; its matrices are [B * windows, heads, T, T]."""

    def __init__(self, windows):
        super().__init__()
        self.windows, self.qkv, self.softmax, self.drop = (
            windows,
            layers.Dense(12),
            layers.Softmax(),
            layers.Dropout(0.1),
        )

    def call(self, maps):
        tokens = ops.reshape(maps, (-1, 100 // self.windows, 4))
        heads = [ops.reshape(part, (-1, tokens.shape[1], 2, 2)) for part in ops.split(self.qkv(tokens), 3, axis=-1)]
        query, key, value = [ops.transpose(part, (0, 2, 1, 3)) for part in heads]
        seen = self.drop(self.softmax(query @ ops.transpose(key, (0, 1, 3, 2)))) @ value
        return ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, 100, 4))


@pytest.mark.parametrize(
    ("kernel", "behind"),
    [
        (3, lambda: [*attending(layers.MultiHeadAttention(2, 4)), layers.Dense(3)]),
        (3, lambda: [*attending(layers.GroupQueryAttention(4, 2, 1)), layers.Dense(3)]),
        (3, squeezed),
        (11, lambda: [layers.Flatten(), layers.Dense(3)]),
        (3, lambda: [layers.Conv2D(5, 10, activation="tanh"), layers.Flatten(), layers.Dense(3)]),  # LeNet's C5
        (3, lambda: [layers.Conv2D(8, 10, activation="relu"), layers.Conv2D(3, 1), layers.Flatten()]),
        (3, lambda: [OwnAttention(4), layers.GlobalAveragePooling1D(), layers.Dense(3)]),
        (3, lambda: [OwnAttention(1), layers.GlobalAveragePooling1D(), layers.Dense(3)]),
    ],
)
def test_attention_and_a_single_place_make_no_feature_map_but_a_small_last_map_is_one(kernel, behind):
    first = layers.Conv2D(4, 3, padding="same", activation="relu")
    last = layers.Conv2D(4, kernel, activation="relu", name="last")
    explain = GradCAM(networks.functional(first, last, *behind()))
    assert explain(PICTURES).shape == (3, 13 - kernel, 13 - kernel) and explain.layer_path == "last"


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
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 1000)
    assert model.predict(PICTURES, verbose=0).max() == 1
    assert GradCAM(model)(PICTURES, 1).max() > 1


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


Fields = collections.namedtuple("Fields", "first second")


class TwoFields(networks.Subclassed):
    def call(self, inputs):
        return Fields(*super().call(inputs))


HEADS = {  # how the outputs are given, and the names of the first and the second
    "list": (networks.two_headed, ("species", "age")),
    "dict": (lambda: networks.two_headed(lambda species, age: {"a": species, "b": age}), ("a", "b")),
    "nested": (lambda: networks.two_headed(lambda species, age: [[species], {"b": age}]), (0, "1/b")),
    "subclassed": (networks.TwoHeaded, ("species", "age")),
    "fields": (lambda: TwoFields(networks.two_headed()), ("first", "second")),
    "nameless": (lambda: networks.Subclassed(networks.two_headed()), (0, 1)),
}
ALL = [GradCAM, CAM, Gradient, GuidedBackprop, Deconvnet, GuidedGradCAM]


@pytest.mark.parametrize("kind", HEADS)
def test_one_of_several_outputs_is_explained_as_if_it_were_the_only_one(kind):
    make, names = HEADS[kind]
    model = make()
    model(PICTURES)
    some = ALL if kind == "list" else [GradCAM, Gradient]
    for head, name, explainers in zip(("species", "age"), names, (some[::2], some[1::2]), strict=True):
        eye, scores = (tracing.find_layer(model, layer) for layer in ("eye", head))
        alone = networks.functional(eye, layers.GlobalAveragePooling2D(), scores)
        for explainer in explainers:
            explain, wanted = explainer(model, output=name), explainer(alone)
            for classes in (0, None):
                assert_allclose(explain(PICTURES, classes), wanted(PICTURES, classes), rtol=1e-5, atol=1e-8)
    with pytest.raises(ValueError, match="classes: 2; this model's are 0 to 1"):
        GradCAM(model, output=names[1])(PICTURES, 2)
    if kind == "list":
        listed = r"several outputs; choose one, output=, by name or number: 0 'species' \['B', 3\], 1 'age' \['B', 1\]"
        for explainer in (GradCAM, CAM, ClassMaps):
            with pytest.raises(ValueError, match=listed):
                explainer(model)(PICTURES)


def test_a_score_gets_the_chosen_output_and_a_number_counts_the_outputs():
    model = networks.two_headed()
    by_name, by_number = (GradCAM(model, output=output)(PICTURES, 1) for output in ("age", np.int64(1)))
    assert_array_equal(by_name, by_number)
    scored = GradCAM(model, output="species", score=lambda species: species[:, 2])(PICTURES)
    assert_array_equal(scored, GradCAM(model, score=lambda outputs: outputs[0][:, 2])(PICTURES))
    for wrong in ("species_2", 2, -1, True, 1.0):
        with pytest.raises(ValueError, match=r"output: .* is none of this model's outputs: 0 'species' .*, 1 'age' "):
            GradCAM(model, output=wrong)(PICTURES)


OTHERS = networks.images(seed=1)


@pytest.mark.parametrize("structured", [lambda *both: list(both), lambda left, right: {"left": left, "right": right}])
def test_one_of_two_pictures_of_a_siamese_network(structured):
    """What `input` picks: the gradient on that picture, and the call of the shared encoder that sees it."""
    model, pictures = networks.siamese(structured), structured(PICTURES, OTHERS)
    encoder, dense, scores = (model.get_layer(name) for name in ("encoder", "dense", "scores"))
    for number, (name, own, sign) in enumerate((("left", PICTURES, 1), ("right", OTHERS, -1))):
        weights = (sign * dense.kernel @ scores.kernel)[:, 1] / 100  # the other picture is a constant
        wanted = np.maximum(np.einsum("bhwk,k->bhw", encoder(own), weights), 0)
        for options in ({"input": name}, {"input": number, "layer": "encoder"}, {"layer": "encoder", "call": number}):
            assert_allclose(GradCAM(model, **options)(pictures, 1), wanted, rtol=1e-4, atol=1e-7)
        on_own = Gradient(networks.functional(encoder), lambda maps, w=weights: ops.sum(maps * w, (1, 2, 3)))(own)
        assert_allclose(Gradient(model, input=name)(pictures, 1), on_own, rtol=1e-4, atol=1e-7)
        guided = GuidedBackprop(model, input=number)(pictures, 1)
        product = guided * resize(wanted, (12, 12))[..., None]
        assert_allclose(GuidedGradCAM(model, input=name)(pictures, 1), product, rtol=1e-4, atol=1e-8)
    for explain in (GradCAM(model), GradCAM(model, "encoder"), Gradient(model)):
        with pytest.raises(ValueError, match=r"choose one, input=: 'left', 'right'"):
            explain(pictures, 1)
    for input in ("middle", 2):
        with pytest.raises(ValueError, match=r"input: .* is none of this model's inputs: 0 'left' .*, 1 'right' "):
            GradCAM(model, input=input)(pictures, 1)


def test_the_calls_of_a_shared_layer_count_as_they_were_written():
    """Keras runs those of one depth the other way round; the layer may also lie inside what is called twice."""
    convolution = layers.Conv2D(4, 3, activation="relu", name="conv")
    for shared in (convolution, networks.stack(convolution, shape=(None, None, 3), name="inside")):
        inputs = keras.Input((12, 12, 3))
        sides = [
            layers.GlobalAveragePooling2D()(shared(side)) for side in (inputs, layers.UpSampling2D(2)(inputs), inputs)
        ]
        model = keras.Model(inputs, layers.Dense(2, name="scores")(layers.Concatenate()(sides)))
        kernel = np.split(model.get_layer("scores").kernel[:, 1], 3)
        for call, (side, weights) in enumerate(zip((12, 24, 12), kernel, strict=True)):
            maps = np.asarray(convolution(ops.repeat(ops.repeat(PICTURES, side // 12, axis=1), side // 12, axis=2)))
            wanted = np.maximum(maps @ weights / (side - 2) ** 2, 0)
            assert_allclose(GradCAM(model, "conv", call=call)(PICTURES, 1), wanted, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match="call: 3; 'conv' is called 3 times, from 0 to 2"):
        GradCAM(model, "conv", call=3)(PICTURES)
    with pytest.raises(ValueError, match="call: 1 given without layer="):
        GuidedGradCAM(model, call=1)


def test_two_pictures_that_join_before_the_last_map_need_no_choice_for_it():
    first, second = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    sides = [layers.Conv2D(4, 3, name=name)(side) for name, side in (("a", first), ("b", second))]
    joint = layers.Conv2D(4, 3, activation="relu", name="joint")(layers.Concatenate()(sides))
    model = keras.Model([first, second], layers.Dense(2)(layers.Flatten()(joint)))
    explain = GradCAM(model)
    assert explain([PICTURES, OTHERS]).shape == (3, 8, 8) and explain.layer_path == "joint"
    assert GradCAM(model, "a")([PICTURES, OTHERS]).shape == (3, 10, 10)
    with pytest.raises(ValueError, match="'a' is not on the path to the score; these do: b, "):
        GradCAM(model, "a", input=1)([PICTURES, OTHERS])
