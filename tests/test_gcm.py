"""GCM: the paper's Table 1 and equations in numbers, and everything Keras may ask of a model."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import layers

from helpers import gcm, guided
from helpers.gcm.conv_block import FusedBatchNormalization

TABLE_1 = """conv 16 1, conv 16 1, conv 16 1, conv 16 1, conv 32 2, conv 32 1, conv 32 1, conv 64 2, conv 64 1,
conv 64 1, deconv 32 2, conv 32 1, deconv 16 2, conv 16 1"""  # kind, filters, strides; every kernel is 3x3


def built(*args, size=(8, 8), channels=3, **kwargs):
    keras.utils.set_random_seed(5)
    model = gcm.GCM(*args, **kwargs)
    model.build((None, *size, channels))
    return model


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype="float32")


@functools.cache
def shared():
    return built(10)


def rows(model):
    return [*model.encoder_layers, *model.decoder_layers[0]]


def parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def with_constant_features(model):
    """Every feature before layer 15 becomes exactly 1: batch normalisations give their offset, whatever comes in."""
    for layer in model._flatten_layers():
        if isinstance(layer, FusedBatchNormalization):
            layer.gamma.assign(tf.zeros_like(layer.gamma))
            layer.beta.assign(tf.ones_like(layer.beta))
    return model


def test_layers_sizes_summary_and_162000_parameters_are_those_of_table_1():
    *blocks, last = rows(shared())
    assert parameters(shared()) == 162_000
    for number, (block, row) in enumerate(zip(blocks, TABLE_1.split(","), strict=True), start=1):
        (kind, filters, strides), conv = row.split(), block.conv
        assert block.name == f"layer_{number}_{kind}_3x3_c{filters}_s{strides}"
        assert type(conv) is {"conv": layers.Conv2D, "deconv": layers.Conv2DTranspose}[kind]
        assert (conv.kernel_size, conv.filters, conv.use_bias) == ((3, 3), int(filters), False)
        assert conv.strides == (int(strides),) * 2
        assert isinstance(block.norm, layers.BatchNormalization) and isinstance(block.relu, layers.ReLU)
    assert (last.kernel_size, last.filters, last.strides, last.use_bias) == ((5, 5), 10, (1, 1), False)
    features, sides = pictures(1, 32, 32, 3), [32] * 4 + [16] * 3 + [8] * 3 + [16] * 2 + [32] * 3
    for layer, side in zip(rows(shared()), sides, strict=True):
        wanted, features = layer.compute_output_shape(features.shape), layer(features)
        assert tuple(features.shape) == tuple(wanted) and tuple(wanted[1:3]) == (side, side)
    lines = []
    shared().summary(print_fn=lambda text, **_: lines.append(text), line_length=120)
    names = re.findall(r"layer_\d+_\w+", "\n".join(lines))
    assert names == [block.name for block in blocks] + ["layer_15_conv_5x5_c1_x10"]


@pytest.mark.parametrize("num_classes, channels", [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_parameters_by_formula(num_classes, channels):
    encoder = 9 * (channels * 16 + 3 * 16 * 16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64)
    encoder += 2 * (4 * 16 + 3 * 32 + 3 * 64)
    once, last = 9 * (64 * 32 + 32 * 32 + 32 * 16 + 16 * 16) + 2 * (2 * 32 + 2 * 16), 25 * 16
    assert parameters(built(num_classes, channels=channels)) == encoder + once + num_classes * last
    assert parameters(built(num_classes, "separate", channels=channels)) == encoder + num_classes * (once + last)


# --- Equations -------------------------------------------------------------------------------------------------------


def test_equations_by_hand():
    """Two classes, 4x4 pictures. Class 0 weighs each pixel 1, and 2 more if it has a right neighbour; class 1: -3."""
    model, kernel = with_constant_features(built(2, size=(4, 4))), np.zeros((5, 5, 16, 2), "float32")
    kernel[2, 2, 0] = [1, -3]
    kernel[2, 3, 5] = [2, 0]
    model.decoder_layers[0][-1].kernel.assign(kernel)
    weights = np.stack([[[3.0, 3, 3, 1]] * 4, np.full((4, 4), -3.0)], axis=-1)
    picture = np.zeros((1, 4, 4, 3), "float32")
    picture[0, 0, 0] = [1, 0, 0]  # weight 3
    picture[0, 2, 1] = [0.5, 0.5, 0.5]  # weight 3
    picture[0, 3, 3] = [0.25, 0, 0.75]  # weight 1, no right neighbour
    np.testing.assert_allclose(model.weight_maps(picture)[0], weights, rtol=1e-6)  # equation 1
    wanted = np.zeros((4, 4, 3))
    wanted[0, 0], wanted[2, 1], wanted[3, 3] = [3, 0, 0], [1.5, 1.5, 1.5], [0.25, 0, 0.75]
    np.testing.assert_allclose(model.contribution_maps(picture, classes=0)[0], wanted, rtol=1e-6)  # equation 2
    np.testing.assert_allclose(model.contribution_maps(picture, classes=1)[0], -3 * picture[0], rtol=1e-6)
    # class 0: (3 + 4.5 + 1) / 48, class 1: -3 * (1 + 1.5 + 1) / 48; 48 = 4 * 4 * 3, the colours and not the classes
    scores = model(picture).numpy()[0]
    np.testing.assert_allclose(scores, [8.5 / 48, -10.5 / 48], rtol=1e-6)  # equations 3 and 6
    inner_products = [float(np.sum(weights[..., j, None] * picture[0])) for j in range(2)]
    np.testing.assert_allclose(scores * 48, inner_products, rtol=1e-6)
    np.testing.assert_allclose(gcm.class_scores(weights[None].astype("float32"), picture)[0], scores)


@settings(max_examples=10, deadline=None)
@example(height=4, width=4, seed=1265)
@given(height=st.sampled_from([4, 8, 20]), width=st.sampled_from([4, 12]), seed=st.integers(0, 10_000))
def test_completeness_for_all_classes(height, width, seed):
    image = pictures(1, height, width, 3, seed=seed)
    copies = np.repeat(image, 10, axis=0)  # of which the scores are asked as well: a batch of one rounds otherwise
    maps, scores = shared().contribution_maps(copies, classes=range(10)).numpy(), shared()(copies).numpy().diagonal()
    assert maps.dtype == np.float32 and maps.shape == (10, height, width, 3)
    np.testing.assert_allclose(maps.mean(axis=(1, 2, 3), dtype="float64"), scores, rtol=1e-5)


def test_weight_maps_equal_plain_keras_layers():
    """The same weights in a functional network of Keras' own layers, batch normalisation included."""
    model, images = built(10), pictures(2, 16, 12, 3)
    rng = np.random.default_rng(1)
    for variable in model.non_trainable_variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    inputs = x = keras.Input((16, 12, 3))
    for block in rows(model)[:-1]:
        x = type(block.conv)(block.filters, 3, block.strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    plain = keras.Model(inputs, layers.Conv2D(10, 5, padding="same", use_bias=False)(x))
    plain.set_weights([weights for layer in rows(model) for weights in layer.get_weights()])
    np.testing.assert_allclose(model.weight_maps(images), plain(images), rtol=1e-4, atol=1e-5)


def test_guided_methods_find_the_relu_of_a_clipped_network(short_encoder):
    """By the chain rule, from below layer 15's ReLU: weights that are clipped pass nothing."""
    model, images = built(2, clip=True), pictures(2, 8, 8, 3)
    assert "layer_15_relu" in [layer.name for layer in model.layers]
    for kind in (guided.GuidedBackprop, guided.Deconvnet, guided.GuidedGradCAM):
        assert np.isfinite(kind(model)(images, 1)).all()
    model.decoder_layers[0][-1].kernel.assign(-tf.ones_like(model.decoder_layers[0][-1].kernel))
    assert not guided.GuidedBackprop(with_constant_features(model))(images, 1).any()


@pytest.mark.parametrize("decoder", ["shared", "separate"])
def test_clip_leaves_no_negative_weight(decoder):
    free, clipped = (built(3, decoder=decoder, clip=clip) for clip in (False, True))
    clipped.set_weights(free.get_weights())
    images = pictures(4, 8, 8, 3)
    assert free.weight_maps(images).numpy().min() < 0
    np.testing.assert_array_equal(clipped.weight_maps(images), np.maximum(free.weight_maps(images), 0))
    assert clipped(images).numpy().min() >= 0


def test_separate_decoders_see_only_their_own_weights():
    model, images = built(3, decoder="separate"), pictures(2, 8, 8, 3)
    before = model(images).numpy()
    model.decoder_layers[1][0].conv.kernel.assign(model.decoder_layers[1][0].conv.kernel * -1.0)
    changed = np.abs(model(images).numpy() - before).max(axis=0)
    assert changed[0] == changed[2] == 0 and changed[1] > 1e-4


def test_fused_normalisation_equals_keras_own_in_training():
    ours, theirs = FusedBatchNormalization(), layers.BatchNormalization()
    images, results = tf.constant(pictures(4, 6, 5, 7) * 3 - 1), []
    for layer in (ours, theirs):
        layer.build(images.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 7))
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            total = tf.reduce_sum(outputs**3)
        results.append([outputs, *tape.gradient(total, [images, layer.gamma.value, layer.beta.value])])
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5, atol=1e-7)
    collected = [np.asarray(layer.moving_variance) - 0.99 for layer in (ours, theirs)]
    np.testing.assert_allclose(collected[0], collected[1] * 120 / 119, rtol=1e-3)  # unbiased: n / (n - 1)
    weights = np.random.default_rng(1).uniform(0.1, 1.5, (4, 7))
    for layer in (ours, theirs):
        layer.set_weights(list(weights))
        layer.trainable = False  # frozen, it keeps its statistics
    np.testing.assert_allclose(ours(images, training=True), theirs(images, training=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.moving_mean, weights[2])


@pytest.mark.parametrize("policy", ["float16", "float64"])
def test_normalisation_under_policies_without_float32(policy):
    norm, plain = FusedBatchNormalization(dtype=policy), layers.BatchNormalization(dtype=policy)
    images = pictures(4, 6, 6, 2)
    np.testing.assert_allclose(norm(images, training=True), plain(images, training=True), rtol=1e-2)
