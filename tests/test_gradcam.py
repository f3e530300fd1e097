"""Grad-CAM, CAM and class maps by numbers: by hand and by independent paths; resize and to_unit."""

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal

from helpers.gcm import GCM
from helpers.gradcam import CAM, ClassMaps, GradCAM, resize, to_unit
from helpers.guided import Gradient

PICTURES = networks.images()


def by_tape(feature_map, scores, class_index):
    """Both equations with a plain tape; scores: a function of the feature map."""
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        score = scores(feature_map)[:, class_index]
    weights = tf.reduce_mean(tape.gradient(score, feature_map), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(feature_map * weights, axis=-1))


def test_equals_a_plain_tape():
    model = networks.make("sequential")
    explain, after = GradCAM(model), 1 + [layer.name for layer in model.layers].index("relu_b")
    feature_map = networks.chained(PICTURES, model.layers[:after])
    for class_index in range(networks.CLASSES):
        wanted = by_tape(feature_map, lambda maps: networks.logits(model, maps, after), class_index)
        assert_allclose(explain(PICTURES, class_index), wanted, rtol=1e-4, atol=1e-6)


def test_default_map_is_after_functional_sum_and_relu():
    model = networks.Residual(ops.relu)
    wanted = by_tape(model.features(PICTURES), model.scores, 2)
    assert_allclose(GradCAM(model)(PICTURES, 2), wanted, rtol=1e-4, atol=1e-6)


def start():
    return [layers.Conv2D(6, 3, activation="relu"), layers.Dropout(0.5)]


def test_cam_is_grad_cam_before_the_relu_up_to_the_number_of_places():
    scores = layers.Dense(3, activation="softmax")
    network = networks.stack(*start(), layers.GlobalAveragePooling2D(), scores)
    scores.bias.assign([0.5, -1, 2])
    logits = networks.logits(network, PICTURES).numpy()
    for classes in ([0, 1, 2], 2, None):
        maps = CAM(network)(PICTURES, classes)
        assert_allclose(np.maximum(maps, 0) / 100, GradCAM(network)(PICTURES, classes), rtol=1e-4, atol=1e-7)
        chosen = np.broadcast_to(np.argmax(logits, axis=-1) if classes is None else classes, 3)
        assert_allclose(maps.mean(axis=(1, 2)) + scores.bias.numpy()[chosen], logits[range(3), chosen], rtol=1e-4)
    assert maps.min() < 0


@pytest.mark.parametrize("activation", ["softmax", None])
def test_class_maps_are_cam_with_the_dense_layer_moved_before_the_average(activation):
    first, class_maps, pool = start(), layers.Conv2D(3, 1), layers.GlobalAveragePooling2D
    dense = layers.Dense(3, activation=activation)
    maps_last = networks.stack(*first, class_maps, pool(), layers.Activation(activation))
    dense_last = networks.stack(*first, pool(), dense)
    kernel, bias = np.random.default_rng(0).normal(size=(6, 3)), np.array([0.5, -1, 2])
    class_maps.set_weights([kernel[None, None], bias])
    dense.set_weights([kernel, bias])
    predicted = dense_last(PICTURES).numpy().argmax(axis=-1)
    for classes in ([0, 1, 2], 2, None):
        added = bias[predicted if classes is None else np.broadcast_to(classes, 3)]
        wanted = CAM(dense_last)(PICTURES, classes) + added[:, None, None]
        assert_allclose(ClassMaps(maps_last)(PICTURES, classes), wanted, rtol=1e-4, atol=1e-5)


def test_a_single_unit_is_a_binary_classifier_with_opposite_maps():
    base, flat = [layers.Conv2D(4, 3, activation="relu")], [layers.Flatten(), layers.Dense(1)]
    pooled = networks.stack(*base, layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid"))
    end = [layers.Conv2D(1, 1), layers.GlobalAveragePooling2D(), layers.Activation("sigmoid")]
    gradient = Gradient(networks.stack(*base, *flat, layers.Activation("sigmoid")))
    for explain in (CAM(pooled), ClassMaps(networks.stack(*base, *end)), gradient):
        p, of_one = explain.model(PICTURES).numpy()[:, 0], explain(PICTURES, 1)
        assert_array_equal(explain(PICTURES, 0), -of_one)
        assert_array_equal(explain(PICTURES), (np.where(p > 0.5, 1, -1) * of_one.T).T)
        if explain is not gradient:
            assert_allclose(of_one.mean((1, 2)), np.log(p / (1 - p)), rtol=1e-3, atol=1e-5)  # the biases are 0
    of_logit = Gradient(networks.stack(*base, *flat), score=lambda outputs: outputs[:, 0])
    assert_allclose(gradient(PICTURES, 1), of_logit(PICTURES), rtol=1e-5)


@pytest.mark.parametrize("small", [1e-7, 1e-6, 1.0])
def test_float16_gradients_of_small_channels_keep_their_digits(small):
    """A fixed scale leaves some 3 of their 11 binary digits: of 1e-7 / 100 places a step is a quarter."""
    pool, dense = layers.GlobalAveragePooling2D(dtype="float16"), layers.Dense(1, dtype="float16", use_bias=False)
    network = networks.stack(layers.ReLU(dtype="float16"), pool, dense, shape=(10, 10, 2))
    dense.kernel.assign(np.array([[3 * small], [5 * small]]))
    kernel, pixels = dense.kernel.numpy().astype(np.float64), np.random.default_rng(0).random((2, 10, 10, 2))
    maps = GradCAM(network, score=lambda outputs: ops.cast(outputs[:, 0], "float32"))(pixels)
    assert_allclose(maps, pixels.astype(np.float16).astype(np.float64) @ kernel[:, 0] / 100, rtol=3e-3)


def test_the_last_call_of_a_shared_layer_counts():
    shared, pictures = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared"), networks.images(2)
    network = networks.functional(shared, shared, layers.Flatten(), layers.Dense(2))
    assert_array_equal(GradCAM(network, "shared")(pictures, 0), GradCAM(network)(pictures, 0))


def test_gcm_can_be_explained_too():
    network = GCM(4)
    pictures = np.abs(networks.images(2, 16))
    explain = GradCAM(network)
    maps = explain(pictures, [0, 3])
    weight_maps = network.weight_maps(pictures).numpy()[[0, 1], ..., [0, 3]]
    # d score / d weight map of class c = brightness / (H W), and nothing for the other classes
    alpha = pictures.mean(axis=(1, 2, 3)) / 16**2
    assert_allclose(maps, np.maximum(weight_maps * alpha[:, None, None], 0), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("name", "layer"), [("MobileNetV2", "out_relu"), ("ResNet50", "conv5_block3_out")])
def test_keras_applications(name, layer):
    """The default layer of a network inside another one, against the equations on a sub-model."""
    options = {"weights": None, "include_top": False, "pooling": "avg"}
    base = getattr(keras.applications, name)(input_shape=(64, 64, 3), **options)
    network = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    pictures = networks.images(2, 64)
    features = keras.Model(base.input, base.get_layer(layer).output)(pictures)
    weights = network.layers[-1].kernel.numpy()[:, [1, 4]].T / 4  # after global averaging over 2 x 2 places
    wanted = np.maximum(np.einsum("bhwk,bk->bhw", features, weights), 0)
    explain = GradCAM(network)
    assert_allclose(explain(pictures, [1, 4]), wanted, rtol=1e-3, atol=1e-4 * wanted.max() + 1e-20)
    assert explain.layer_path == f"{base.name}/{layer}"


def test_resize_is_bilinear_with_half_pixel_centres():
    edge = [0, 0.25, 0.75, 1]
    assert_array_equal(resize([[[0, 1], [0, 1]]], (4, 4)), [[edge] * 4])
    assert_array_equal(resize([[0, 1], [0, 1]], (4, 4)), [edge] * 4)
    assert resize(np.zeros((2, 3, 5)), (7, 9)).shape == (2, 7, 9)


@settings(max_examples=60, deadline=None)
@given(maps=arrays.arrays(np.float32, (3, 2, 2), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_to_unit_divides_each_map_by_its_own_maximum(maps):
    unit = to_unit(maps)
    assert unit.dtype == np.float32 and np.isfinite(unit).all()
    highest = maps.max(axis=(1, 2), keepdims=True)
    assert_array_equal(unit.max(axis=(1, 2)), highest.ravel() > 0)  # 1, or 0 without any value above zero
    assert_allclose(unit, np.maximum(maps, 0) / np.where(highest > 0, highest, 1), rtol=1e-6)


@pytest.mark.parametrize("function", [to_unit, lambda maps: resize(maps, (4, 4))])
@pytest.mark.parametrize("shape", [(2,), (1, 2, 2, 3)])
def test_gradients_and_vectors_are_no_maps(function, shape):
    with pytest.raises(ValueError, match=r"maps: shape .*expected \[B, h, w\] or one \[h, w\]"):
        function(np.ones(shape))


@pytest.mark.parametrize("dark", [[[np.nan, 1]], [[np.inf, 1]], [[0, 0]], [[-3, -3]]])
def test_a_map_without_evidence_or_not_finite_is_all_zeros(dark):
    assert_array_equal(to_unit([dark, [[2, 1]]]), [[[0, 0]], [[1, 0.5]]])
    assert_array_equal(to_unit(dark), [[0, 0]])


@pytest.mark.parametrize("bias", [-1.0, 1.0])
def test_networks_without_any_evidence_have_zeros(bias):
    convolution, ones = layers.Conv2D(2, 3), layers.Dense(1, kernel_initializer="ones")
    dead = networks.stack(convolution, layers.ReLU(), layers.GlobalAveragePooling2D(), ones)
    convolution.set_weights([np.zeros((3, 3, 3, 2)), np.array([bias, bias])])
    maps = GradCAM(dead)(PICTURES, 0)  # class 0 is minus the sum of what is never negative
    assert_array_equal(maps, 0)
    assert_array_equal(to_unit(resize(maps, (12, 12))), 0)
