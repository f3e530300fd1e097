"""Explaining a model leaves it as it was, whoever else uses it meanwhile."""

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from networks import EXPLAINERS
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from test_explainers import PICTURES

from helpers import blackbox, integrated, tracing
from helpers.gradcam import GradCAM
from helpers.guided import Gradient, GuidedBackprop, GuidedGradCAM
from helpers.tracing import recording


def state(model):
    """What must not change: what every layer holds, its flags, weights, config, losses, optimizer, predictions."""
    predictions, inner = model.predict(PICTURES, verbose=0).tolist(), model._flatten_layers(include_self=False)
    held = [{name: id(value) for name, value in vars(layer).items()} for layer in inner]
    held.append({name: id(value) for name, value in vars(model).items() if name in ("call", "_losses", "_loss_ids")})
    flags = [(layer.name, layer.trainable, layer.built, layer.dtype_policy.name) for layer in inner]
    values = [weight.numpy().tolist() for weight in model.weights]
    config = None if isinstance(model, networks.Subclassed) else model.get_config()
    optimizer = getattr(model, "optimizer", None)
    steps = [variable.numpy().tolist() for variable in optimizer.variables] if optimizer else []
    return predictions, held, flags, values, config, len(model.losses), steps


@pytest.mark.parametrize("kind", ["sequential", "never_called", *networks.NESTED, "Subclassed"])
def test_compiled_and_traced_model_is_unchanged(kind):
    model = networks.make(kind)
    tracing.find_layer(model, "conv_a").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(PICTURES, np.arange(3))
    before = state(model)
    for explainer in EXPLAINERS if kind == "sequential" else [GuidedGradCAM]:
        assert np.isfinite(explainer(model)(PICTURES)).all()
    assert state(model) == before
    model.train_on_batch(PICTURES, np.arange(3))
    assert state(model)[3] != before[3]  # it can still be trained


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_model_is_unchanged_after_an_exception_in_a_trace(explainer):
    model = networks.stack(*networks.body(), *networks.head())
    model.compile("sgd", "mse")
    before = state(model)
    fail = mock.Mock(side_effect=RuntimeError("not today"))
    in_layer, in_score = explainer(model), explainer(model, score=fail)
    with mock.patch.object(layers.Dropout, "call", fail), pytest.raises(RuntimeError, match="not today"):
        in_layer(PICTURES)
    with pytest.raises(RuntimeError, match="not today"):
        in_score(PICTURES)
    assert in_layer.traces == in_score.traces == 0 and not tf.config.functions_run_eagerly()
    assert state(model) == before
    assert np.isfinite(in_layer(PICTURES)).all()


def test_losses_of_the_trace_do_not_leak_into_the_model():
    model = networks.stack(layers.Conv2D(4, 3, activity_regularizer="l2"), layers.Flatten(), layers.Dense(3))
    model(PICTURES)
    before = float(sum(model.losses))
    GradCAM(model)(PICTURES)
    assert float(sum(model.losses)) == before


def test_a_trace_waits_for_another_one():
    """Side by side they would put back what the other one had replaced, and TensorFlow's switch too."""
    model, other = networks.make("sequential"), networks.make("sequential")
    layer, own = other.layers[0], vars(other.layers[0]).get("call")

    def slow(outputs):
        assert not others.done()  # it asked to trace while this trace was under way
        return outputs[:, 0]

    trace_other = tf.function(lambda inputs: tracing.trace(other, inputs).outputs).get_concrete_function
    with ThreadPoolExecutor(1) as threads, recording.TRACING:
        others = threads.submit(trace_other, PICTURES)
        time.sleep(0.5)
        GradCAM(model, score=slow)(PICTURES)
    others.result()
    assert vars(layer).get("call") is own and not tf.config.functions_run_eagerly()


class Meanwhile(layers.Layer):
    """While an explainer traces it, another thread uses the same model and is waited for."""

    work = None

    def call(self, inputs):
        work, self.work = self.work, None
        if work is not None:
            with ThreadPoolExecutor(1) as other:
                self.found = other.submit(work).result()
        return inputs


@pytest.mark.parametrize("use", ["predict_on_batch", "__call__", "train_on_batch", "first predict_on_batch"])
def test_others_may_use_a_model_while_it_is_traced(use):
    meanwhile = Meanwhile()
    network = networks.stack(networks.Decorated(meanwhile), *networks.body(), *networks.head())
    network.compile("sgd", "mse")
    wanted, targets = GradCAM(network)(PICTURES, 1), np.zeros((3, 3))
    if use == "predict_on_batch":
        network.predict_on_batch(PICTURES)
    values = network(PICTURES).numpy()
    arguments = [PICTURES, targets] if use == "train_on_batch" else [PICTURES]
    meanwhile.work = functools.partial(getattr(network, use.split()[-1]), *arguments)
    maps = GradCAM(network)(PICTURES, 1)
    if use == "train_on_batch":
        assert np.isfinite(meanwhile.found).all()
    else:
        assert_allclose(meanwhile.found, values, rtol=1e-5)
        assert_allclose(maps, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_pictures_of_the_models_own_dtype_are_taken_as_they_are(dtype):
    chain = [layers.Rescaling(1 / 255), *networks.body(), *networks.head()]
    inputs = keras.Input((12, 12, 3), dtype=dtype)
    network = keras.Model(inputs, networks.chained(inputs, chain))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3))
    explain = GradCAM(network)
    maps, wanted = explain(pixels.astype(dtype), 1), GradCAM(networks.stack(*chain))(pixels.astype(np.float32), 1)
    assert_allclose(maps, wanted, rtol=1e-5, atol=1e-8)
    assert_array_equal(explain(pixels.astype(np.float32), 1), maps)
    with pytest.raises(ValueError, match=f"float32 with other values than the {dtype} that the model takes"):
        explain((pixels / 255).astype(np.float32), 1)
    for explainer in (Gradient, GuidedBackprop, GuidedGradCAM):
        with pytest.raises(ValueError, match=f"takes {dtype}, and there is no gradient with respect to whole numbers"):
            explainer(network)(pixels.astype(dtype), 1)


def test_black_boxes_change_pictures_of_whole_numbers_by_whole_numbers():
    chain = [layers.Rescaling(1 / 255), *networks.body(), *networks.head()]
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    network, pixels = keras.Model(inputs, networks.chained(inputs, chain)), np.full((2, 12, 12, 3), 200, np.uint8)
    for make in (lambda one: blackbox.Occlusion(one, fill=7), lambda one: integrated.Smooth(GradCAM(one), noise=0.0)):
        wanted = make(networks.stack(*chain))(pixels.astype(np.float32), 1)
        assert_allclose(make(network)(pixels, 1), wanted, rtol=1e-4, atol=1e-7)
    for explainer in (functools.partial(blackbox.RISE, masks=4), blackbox.ScoreCAM, blackbox.Occlusion):
        assert np.isfinite(explainer(network)(pixels, 1)).all()


def test_threads_may_explain_one_model_at_the_same_time():
    model = networks.make("sequential")
    before = state(model)
    wanted = [explainer(model)(PICTURES, 1) for explainer in EXPLAINERS]
    shared = GradCAM(model)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda explainer: explainer(model)(PICTURES, 1), EXPLAINERS * 3))
        maps = list(threads.map(lambda _: shared(PICTURES, 1), range(8)))
    assert_equal(found + maps, wanted * 3 + wanted[:1] * 8)
    assert shared.traces == 1 and state(model) == before and not tf.config.functions_run_eagerly()
