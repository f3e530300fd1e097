"""Looking into models: the right layer, the last feature map and the logit are found in every kind of model."""

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from numpy.testing import assert_array_equal

from helpers import tracing
from helpers.gradcam import GradCAM
from helpers.guided import GuidedBackprop

PICTURES = networks.images()


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
        self.windows, self.qkv = windows, layers.Dense(12)
        self.softmax, self.drop = layers.Softmax(), layers.Dropout(0.1)

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
