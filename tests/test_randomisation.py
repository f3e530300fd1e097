"""Explanations of a network whose weights are shuffled, and of one that learned other labels."""

import contextlib
from unittest.mock import Mock

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from test_faithfulness import QUANTUS, pictures

from helpers import faithfulness
from helpers.guided import Gradient
from helpers.integrated import Smooth


@contextlib.contextmanager
def unchanged(model):
    before = [weight.tobytes() for weight in model.get_weights()]
    yield
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_randomisation_goes_down_from_the_top_and_puts_the_weights_back(cnn, rng):
    before, seen = cnn.get_weights(), []

    def explain(images, classes):
        pairs = list(zip(cnn.get_weights(), before, strict=True))
        seen.append([not np.array_equal(now, then) for now, then in pairs[::2]])
        assert list(classes) == [1, 0]
        for now, then in pairs:
            assert_array_equal(np.sort(now, axis=None), np.sort(then, axis=None))  # shuffled, not drawn
        return images

    with unchanged(cnn):
        alike = faithfulness.model_randomisation(cnn, explain, pictures(rng, 2, 12), [1, 0])
    assert list(alike) == ["top", "second", "first"] == list(QUANTUS["layers"])
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True] * 3]
    assert_allclose(list(alike.values()), 1)  # this explainer does not show the model


def test_randomisation_changes_a_gradient_and_repeats_with_its_seed(cnn, rng):
    images, explain = pictures(rng, 20, 12), Gradient(cnn)
    first, again, other = (faithfulness.model_randomisation(cnn, explain, images, 1, seed=seed) for seed in (0, 0, 1))
    assert all(values.shape == (20,) and (values < 0.95).all() for values in first.values())
    for path in first:
        assert_array_equal(first[path], again[path])
    assert not np.array_equal(first["first"], other["first"])


def test_randomisation_puts_the_weights_back_after_an_exception(cnn, rng):
    images = pictures(rng, 2, 12)
    explain = Mock(side_effect=[images, images, RuntimeError("the explainer broke")])
    with unchanged(cnn), pytest.raises(RuntimeError, match="broke"):
        faithfulness.model_randomisation(cnn, explain, images, 0)


class Backwards(networks.Subclassed):
    """Its layers run in another order than they were made."""

    def call(self, inputs):
        return networks.chained(inputs, reversed(self.chain))


def test_randomisation_of_a_subclassed_model_follows_execution_or_the_layers_asked_for(rng):
    top, images, kernels = layers.Conv2D(2, 1, name="top"), pictures(rng, 2, 12), []
    block = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
    model = Backwards(layers.GlobalAveragePooling2D(), top, keras.Sequential(block, name="block"))
    model(images)
    gradient = Gradient(model)

    def explain(images, classes):
        kernels.append(top.kernel.numpy().reshape(4, 2))
        return gradient(images, classes)

    with unchanged(model):
        assert list(faithfulness.model_randomisation(model, explain, images, 1)) == ["top", "block/norm", "block/conv"]
        assert {*map(tuple, kernels[0])}.isdisjoint(map(tuple, kernels[-1]))  # rows are not moved as a whole
        alike = faithfulness.model_randomisation(model, explain, images, 1, layers=["block", top])
    assert list(alike) == ["block", "top"]
    assert all((values < 1).all() for values in alike.values())


def test_randomisation_makes_an_adapted_normalisation_forget_too(rng):
    adapted, images = layers.Normalization(name="adapted"), pictures(rng, 2, 12) * [1, 30, 200]
    adapted.adapt(images)
    start = keras.Sequential([adapted, layers.Conv2D(4, 3, activation="tanh", name="conv")], name="start")
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), start, layers.GlobalAveragePooling2D(), layers.Dense(2, name="top")]
    )
    gradient, before = Gradient(model), model(images).numpy()
    original = gradient(images, 1)
    with unchanged(model):
        alike = faithfulness.model_randomisation(model, gradient, images, 1)
    assert list(alike) == ["top", "start/conv", "start/adapted"]
    assert not np.allclose(alike["start/adapted"], alike["start/conv"])
    assert_allclose(model(images), before)
    assert_allclose(gradient(images, 1), original, rtol=1e-5)


class Gated(layers.Layer):
    """A layer with a weight of its own around a layer with weights."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="gate")
        self.inner = layers.Conv2D(shape[-1], 1, name="inner")
        self.inner.build(shape)

    def call(self, inputs):
        return self.gate * self.inner(inputs)


def test_randomisation_makes_a_layer_around_others_forget_its_own_weights(rng):
    conv, gated, top = layers.Conv2D(4, 3, activation="tanh", name="conv"), Gated(name="gated"), layers.Dense(2)
    model, seen = networks.stack(conv, gated, layers.GlobalAveragePooling2D(), top), []
    kernels = [top.kernel, gated.gate, gated.inner.kernel, conv.kernel]
    before = [kernel.numpy() for kernel in kernels]

    def explain(images, classes):
        seen.append([np.array_equal(now.numpy(), then) for now, then in zip(kernels, before, strict=True)])
        return images

    with unchanged(model):
        alike = faithfulness.model_randomisation(model, explain, pictures(rng, 2, 12), 0)
    assert list(alike) == [top.name, "gated", "gated/inner", "conv"]
    assert seen == [[number >= forgotten for number in range(4)] for forgotten in range(5)]


def test_maps_are_compared_with_those_of_the_trained_model(cnn, rng):
    heat = rng.random((2, 4, 4))
    explain = Mock(side_effect=[heat, 1 - heat, heat, heat])
    alike = faithfulness.model_randomisation(cnn, explain, pictures(rng, 2, 12), 0)
    assert_allclose([*alike.values()], [[-1, -1], [1, 1], [1, 1]])


@pytest.mark.parametrize("structured", [list, lambda both: dict(zip(("picture", "table"), both, strict=True))])
def test_randomisation_takes_a_models_own_structure_of_inputs(rng, structured):
    picture, table = keras.Input((12, 12, 3), name="picture"), keras.Input((4,), name="table")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(picture))
    top = layers.Dense(2, name="top")(layers.Concatenate()([seen, table]))
    model = keras.Model(structured([picture, table]), top)
    images = structured([pictures(rng, 2, 12), rng.random((2, 4), np.float32)])
    with unchanged(model):
        alike = faithfulness.model_randomisation(model, Gradient(model), images, [1, 0])
    assert list(alike) == ["top", "conv"] and all(values.shape == (2,) for values in alike.values())
    explain, seen = Gradient(model), []
    moved = faithfulness.sensitivity(lambda *asked: seen.append(asked[0]) or explain(*asked), images, [1, 0], 0.02, 3)
    assert (moved > 0).all() and len(seen) == 4
    for now in map(keras.tree.flatten, seen[1:]):
        noise, same = (new - old for new, old in zip(now, keras.tree.flatten(seen[0]), strict=True))
        assert 0.01 < np.abs(noise).max() <= 0.02 and not same.any()


def test_an_explainer_with_its_own_score_takes_no_classes(cnn, rng):
    images, last = pictures(rng, 2, 12), lambda outputs: tf.math.log(outputs[:, 1])
    for own, by_class in ((Gradient(cnn, score=last), Gradient(cnn)), (Smooth(Gradient(cnn, score=last)), None)):
        assert faithfulness.model_randomisation(cnn, own, images, None)["first"].shape == (2,)
        assert (faithfulness.sensitivity(own, images, None, samples=2) > 0).all()
        if by_class:
            with pytest.raises(ValueError, match="classes: expected an int"):
                faithfulness.sensitivity(by_class, images, None)


def test_label_randomisation_compares_two_explainers(rng):
    images = rng.uniform(size=(3, 6, 6, 3))
    alike = faithfulness.label_randomisation(lambda some, classes: some, lambda some, classes: -(some**2), images, None)
    assert_allclose(alike, faithfulness.spearman(images.sum(-1), (images**2).sum(-1)))
    assert_allclose(faithfulness.label_randomisation(lambda *_: images, lambda *_: -images, images, 1), 1)
