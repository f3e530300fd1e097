"""Networks and inputs off the beaten track: named inputs, half precision, broken weights, layers of one's own."""

import gc
import weakref

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal

from helpers import faithfulness, gcm
from helpers.blackbox import RISE
from helpers.gradcam import CAM, GradCAM
from helpers.guided import Deconvnet, GuidedBackprop
from helpers.integrated import IntegratedGradients, Smooth
from helpers.tracing.scores import Probabilities, Scores

PICTURES = networks.images()


def pooled(dense=layers.Dense, *behind):
    keras.utils.set_random_seed(0)
    start = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return networks.stack(*start, dense(3), *behind)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_cam_reads_through_the_cast_before_a_float32_softmax(policy):
    wanted = CAM(pooled())(PICTURES, [0, 1, 2])
    with networks.under(policy):
        model = pooled(layers.Dense, layers.Activation("softmax", dtype="float32"))
    assert_allclose(CAM(model)(PICTURES, [0, 1, 2]), wanted, atol=0.02 * np.abs(wanted).max())


class Scaled(layers.Dense):
    def call(self, inputs):
        return ops.matmul(inputs, 3 * self.kernel) + self.bias


def test_cam_does_not_take_the_weights_of_a_layer_that_computes_otherwise():
    with pytest.raises(ValueError, match="has a `call` of its own, and CAM reads its weights; use GradCAM"):
        CAM(pooled(Scaled))(PICTURES, 0)


def deep(policy):
    """Weights so large that a gradient scaled up for float16 overflows in the dense layers."""
    keras.utils.set_random_seed(0)
    with networks.under(policy):
        dense = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(3)]
        model = networks.stack(layers.Conv2D(6, 3, activation="relu"), layers.Flatten(), *dense)
    dense[-1].kernel.assign(20 * dense[-1].kernel)
    return model


@pytest.mark.parametrize("kind", [GuidedBackprop, Deconvnet])
def test_rules_hide_no_overflow_of_float16(kind):
    exact, half = (kind(deep(policy))(PICTURES, 1) for policy in ("float32", "mixed_float16"))
    assert np.abs(exact).max(axis=(1, 2, 3)).min() > 0
    assert_allclose(half, exact, atol=0.02 * np.abs(exact).max())


def test_weights_that_are_no_numbers_are_an_error_for_every_explainer():
    model = pooled()
    used = GradCAM(model)
    used(PICTURES, 0)
    model.layers[0].kernel.assign(np.nan * model.layers[0].kernel)
    for kind in (lambda model: used, GradCAM, CAM, GuidedBackprop, Scores):
        with pytest.raises(ValueError, match=r"its weights '.*kernel' are NaN or infinite; train it anew"):
            kind(model)(PICTURES, 0)


def test_inputs_by_name_in_any_order():
    """Declared as picture, then ask; a dict comes in the order of its keys."""
    picture, ask = keras.Input((12, 12, 3), name="picture"), keras.Input((5,), dtype="int32", name="ask")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(picture))
    words = layers.Flatten()(layers.Embedding(10, 3)(ask))
    model = keras.Model([picture, ask], layers.Dense(3)(layers.Concatenate()([seen, words])))
    asked = np.ones((len(PICTURES), 5), "int32")
    for explain in (GradCAM(model), IntegratedGradients(model, steps=2), RISE(model, masks=4)):
        assert_array_equal(explain({"picture": PICTURES, "ask": asked}, 1), explain([PICTURES, asked], 1))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_black_pictures_decide_nothing_for_later_ones(dtype):
    """Whether outputs are logits is told by values where the graph does not; those of a black picture are all zero."""
    keras.utils.set_random_seed(0)
    taken = keras.Input((32, 32, 3), dtype=dtype)
    model = keras.Model(taken, gcm.GCM(4)(ops.cast(taken, "float32")))
    pictures = np.random.default_rng(0).uniform(0, 3, (2, 32, 32, 3)).astype(dtype)
    later = Probabilities(model)
    later(0 * pictures)
    assert_allclose(later(pictures), ops.softmax(model(pictures)), rtol=1e-5)


def test_the_layer_is_that_of_the_last_call():
    sizes = [layers.Conv2D(4, 3, s, "same", activation="relu", name=n) for s, n in ((2, "early"), (4, "late"))]
    explain = GradCAM(networks.stack(*sizes, layers.GlobalAveragePooling2D(), layers.Dense(3), shape=(None, None, 3)))
    used = []
    for side in (32, 8, 32):
        explain(np.ones((1, side, side, 3), np.float32), 1)
        used.append(explain.layer_path)
    assert used == ["late", "early", "late"]


def test_whole_numbers_do_not_wrap():
    picture = keras.Input((12, 12, 3), dtype="int8")
    behind = networks.stack(*networks.body(), *networks.head())
    model = keras.Model(picture, behind(ops.cast(picture, "float32")))
    explain = GradCAM(model)
    assert_array_equal(explain(np.full((1, 12, 12, 3), 100, np.uint8), 0), explain(np.full((1, 12, 12, 3), 100), 0))
    with pytest.raises(ValueError, match="uint8 with other values than the int8 that the model takes"):
        explain(np.full((1, 12, 12, 3), 200, np.uint8), 0)


@pytest.mark.parametrize("kind", [GuidedBackprop, Deconvnet])
def test_an_explainer_that_is_gone_leaves_neither_its_graphs_nor_its_model(kind):
    model = pooled()
    explain = kind(model)
    explain(PICTURES, 1)
    left = [weakref.ref(thing) for thing in (model, explain, explain._graphs.popitem()[1][0].graph)]
    del model, explain
    gc.collect()
    assert [thing() for thing in left] == [None, None, None]


def test_options_out_of_range():
    model = pooled()
    for options in ({"masks": 0}, {"masks": 2.5}, {"cells": 0}, {"keep": 0}, {"keep": 1.5}):
        with pytest.raises(ValueError, match="at least 1 mask and cell, whole numbers, and keep above 0, at most 1"):
            RISE(model, **options)
    for explain in (RISE(model, masks=2.0, cells=3.0), Smooth(GradCAM(model), samples=2.0)):
        assert len(explain(PICTURES, 0)) == len(PICTURES)
    for steps in (0, 2.5):
        with pytest.raises(ValueError, match=f"steps: {steps}; a whole number of at least 1"):
            IntegratedGradients(model, steps=steps)
        with pytest.raises(ValueError, match=f"samples: {steps}; a whole number of at least 1"):
            Smooth(GradCAM(model), samples=steps)


def test_a_class_of_probability_zero_has_nothing_to_lose():
    never = faithfulness.drop_and_increase(lambda some: np.tile([0.0, 1.0], (len(some), 1)), PICTURES, PICTURES, 0)
    assert_array_equal(never, np.zeros((2, len(PICTURES))))


def test_contribution_maps_of_a_known_class_in_a_graph():
    model, pictures = gcm.GCM(4), np.full((2, 8, 8, 3), 0.5, np.float32)
    for classes in (1, [1, 2], np.array([1, 2])):
        in_graph = tf.function(lambda some, classes=classes: model.contribution_maps(some, classes))
        assert_allclose(in_graph(pictures), model.contribution_maps(pictures, classes), rtol=1e-5, atol=1e-7)
