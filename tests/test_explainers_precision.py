"""Low precision, changed models, and what an explanation costs."""

import gc
import tracemalloc

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from test_explainers import PICTURES

from helpers.gradcam import GradCAM
from helpers.guided import Gradient, GuidedBackprop, GuidedGradCAM


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_low_precision_networks_give_float32(policy, model):
    with networks.under(policy):
        network = networks.KINDS["functional"]()
    network.set_weights(model.get_weights())
    maps, wanted = (GradCAM(one)(PICTURES, 1) for one in (network, model))
    found, gradients = (GuidedBackprop(one)(PICTURES, 1) for one in (network, model))
    assert maps.dtype == found.dtype == np.float32 and np.isfinite(found).all()
    assert_allclose(maps, wanted, atol=0.05 * wanted.max())
    assert np.corrcoef(found.ravel(), gradients.ravel())[0, 1] > 0.97


def scored(factor, policy):
    """One dense layer on ReLUs, its score times `factor`: the gradient with respect to the maps is factor / 16."""
    options = {"dtype": policy, "use_bias": False}
    dense = layers.Dense(1, kernel_initializer=keras.initializers.Constant(1 / 16), **options)
    network = networks.stack(layers.ReLU(dtype=policy), layers.Flatten(dtype=policy), dense, shape=(4, 4, 1))
    return GradCAM(network, score=lambda outputs: factor(tf.cast(outputs[:, 0], tf.float32)))


@pytest.mark.parametrize("factor", [1e-6, 1.0, 2e4, 1e6, 1e8])
@pytest.mark.parametrize("policy", ["float16", "mixed_float16"])
def test_float16_gradients_neither_overflow_nor_underflow(factor, policy):
    """Each picture by its own scale: beside one of weight 1 the other has weight `factor`."""
    maps = scored(lambda scores: scores * tf.constant([1.0, factor]), policy)(np.ones((2, 4, 4, 1)))
    assert_allclose(maps, np.broadcast_to(np.reshape([1, factor], (2, 1, 1)) / 16, (2, 4, 4)), rtol=2e-3)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
@pytest.mark.parametrize("policy", ["float16", "float32", "bfloat16"])
def test_a_gradient_that_is_no_number_is_an_error_and_no_empty_map(factor, policy):
    explain = scored(lambda scores: scores * tf.constant([1.0, factor, 1.0]), policy)
    with pytest.raises(ValueError, match="its explanation of images 1 is NaN or infinite; check its weights"):
        explain(np.ones((3, 4, 4, 1)))


def exchange_head(network):
    network.pop()
    network.add(layers.Dense(5))
    return network(PICTURES)


CHANGES = {
    "another head": exchange_head,
    "another activation": lambda network: setattr(network.layers[0], "activation", keras.activations.tanh),
    "quantised": lambda network: network.layers[-1].quantize("int8"),
    "adapted anew": lambda network: network.layers[1].adapt(networks.images(4, 10, 4) * 3),
    "another size of pooling": lambda network: setattr(network.layers[2], "pool_size", (1, 1)),
    "a layer's own switch": lambda network: setattr(network.layers[3], "factor", 3.0),
    "a layer's own list": lambda network: network.layers[3].powers.__setitem__(0, 3),
    "a list within a dict": lambda network: network.layers[3].gains["all"].__setitem__(0, 2.0),
    "another class of layer": lambda network: setattr(network.layers[3], "__class__", Negated),
}


class Switched(layers.Layer):
    def __init__(self):
        super().__init__()
        self.factor, self.powers, self.gains = None, [2], {"all": [1.0]}

    def call(self, inputs):
        self.seen = inputs  # as authors keep an attention matrix to look at; it is no change of the network
        return self.gains["all"][0] * (inputs ** self.powers[0] if self.factor is None else inputs * self.factor)


class Negated(Switched):
    def call(self, inputs):
        return -super().call(inputs)


def changing():
    keras.utils.set_random_seed(2)  # with it every class has a map
    adapted = layers.Normalization()
    adapted.adapt(networks.images(4, 10, 4))
    maps = [layers.Conv2D(4, 3, activation="sigmoid"), adapted, layers.MaxPooling2D(2), Switched()]
    return networks.stack(*maps, layers.Flatten(), layers.Dense(3))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_gives_the_new_models_maps(change):
    network = changing()
    explain, gradient = GradCAM(network, network.layers[0]), Gradient(network)
    before = explain(PICTURES, [0, 1, 2]), gradient(PICTURES, [0, 1, 2])
    CHANGES[change](network)
    for explainer, old in zip((explain, gradient), before, strict=True):
        now = explainer(PICTURES, [0, 1, 2])
        fresh = GradCAM(network, network.layers[0]) if explainer is explain else Gradient(network)
        assert_allclose(now, fresh(PICTURES, [0, 1, 2]), rtol=1e-5, atol=1e-8)
        assert np.abs(now - old).max() > 1e-3 * old.max() > 0 and explainer.traces == 1
    if change == "another head":
        assert explain(PICTURES, 4).shape == (3, 10, 10)


@pytest.mark.parametrize("explainer", [GradCAM, GuidedGradCAM])
def test_a_name_means_the_layer_that_has_it_now(explainer):
    behind = [layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    network = networks.stack(layers.Conv2D(4, 3, name="eye"), *behind)
    explain = explainer(network, "eye")
    explain(PICTURES)
    for _ in range(4):
        network.pop()
    for layer in [layers.Conv2D(4, 5, name="eye"), *behind]:
        network.add(layer)
    assert_allclose(explain(PICTURES, 1), explainer(network, "eye")(PICTURES, 1), rtol=1e-6)
    assert explain.layer_path == "eye"


def test_use_and_training_of_a_model_are_no_change():
    network, calls = changing(), []
    network.layers[3].factor = 2.0
    explain = GradCAM(network, score=lambda outputs: calls.append(1) or outputs[:, 0])
    explain(PICTURES)
    network.compile("sgd", "mse")
    network.fit(PICTURES, np.zeros((3, 3)), validation_data=(PICTURES, np.zeros((3, 3))), verbose=0)
    network.predict(PICTURES, verbose=0)
    network.evaluate(PICTURES, np.zeros((3, 3)), verbose=0)
    network.layers[0].trainable = False
    explain(PICTURES)
    assert (len(calls), explain.traces) == (1, 1)


def test_one_trace_a_shape_whatever_batch_classes_and_weights_are():
    calls, scores = [], layers.Dense(3)
    counting = layers.Lambda(lambda inputs: calls.append(inputs.shape) or inputs * 1.0)
    seen = [layers.Conv2D(3, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    network = keras.Sequential([counting, *seen, scores])
    explain = GradCAM(network)
    maps = explain(PICTURES, 0)  # this builds the network
    calls.clear()
    for batch, classes in [(3, None), (3, 1), (3, [0, 1, 2]), (1, None), (7, 2), (3, np.array([1, 1, 1]))]:
        explain(networks.images(batch), classes)
    explain(PICTURES.astype(np.float64))
    assert_array_equal(explain(tf.constant(PICTURES), 0), maps)
    scores.kernel.assign(scores.kernel * 2)
    assert_allclose(explain(PICTURES, 0), 2 * maps, rtol=1e-5)
    assert (len(calls), explain.traces) == (0, 1)
    for _ in range(2):
        explain(networks.images(2, size=16))
    assert (len(calls), explain.traces) == (1, 2)


def test_a_hundred_calls_need_no_more_memory_than_ten(model):
    explain, memory = GradCAM(model), []
    explain(PICTURES)
    tracemalloc.start()
    for calls in (10, 90):
        for number in range(calls):
            explain(PICTURES, number % 3)
        gc.collect()
        memory.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert memory[1] - memory[0] < 50_000 and explain.traces == 1
