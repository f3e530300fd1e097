"""GCM: the paper's Table 1 and equations in numbers, and everything Keras may ask of a model."""

import functools
import gc
import re
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from helpers import gcm, gradcam, guided, paths
from helpers.gcm import cifar10
from helpers.gcm.conv_block import ConvBlock, FusedBatchNormalization
from helpers.training import shipped

TABLE_1 = [
    (1, "conv", 3, 16, 1),
    (2, "conv", 3, 16, 1),
    (3, "conv", 3, 16, 1),
    (4, "conv", 3, 16, 1),
    (5, "conv", 3, 32, 2),
    (6, "conv", 3, 32, 1),
    (7, "conv", 3, 32, 1),
    (8, "conv", 3, 64, 2),
    (9, "conv", 3, 64, 1),
    (10, "conv", 3, 64, 1),
    (11, "deconv", 3, 32, 2),
    (12, "conv", 3, 32, 1),
    (13, "deconv", 3, 16, 2),
    (14, "conv", 3, 16, 1),
]


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


def with_constant_features(model):
    """Every feature before layer 15 becomes exactly 1: batch normalisations give their offset, whatever comes in."""
    for layer in model._flatten_layers():
        if isinstance(layer, FusedBatchNormalization):
            layer.gamma.assign(tf.zeros_like(layer.gamma))
            layer.beta.assign(tf.ones_like(layer.beta))
    return model


# --- Table 1 ---------------------------------------------------------------------------------------------------------


def output_sizes(model, images):
    shape, sizes = images.shape, []
    for layer in [*model.encoder_layers, *model.decoder_layers[0]]:
        shape = layer.compute_output_shape(shape)
        sizes.append(tuple(shape[1:3]))
    return sizes


def test_layers_are_those_of_table_1():
    model = built(10, size=(32, 32))
    blocks = [*model.encoder_layers, *model.decoder_layers[0]]
    for block, (number, kind, kernel, filters, strides) in zip(blocks, TABLE_1, strict=False):
        assert block.name == f"layer_{number}_{kind}_{kernel}x{kernel}_c{filters}_s{strides}"
        assert type(block.conv) is {"conv": layers.Conv2D, "deconv": layers.Conv2DTranspose}[kind]
        assert (block.conv.kernel_size, block.conv.filters) == ((kernel, kernel), filters)
        assert (block.conv.strides, block.conv.use_bias) == ((strides, strides), False)
        assert isinstance(block.norm, layers.BatchNormalization) and isinstance(block.relu, layers.ReLU)
    last = blocks[14]
    assert len(blocks) == 15 and last.name.startswith("layer_15_conv_5x5_c1")
    assert (last.kernel_size, last.filters, last.strides, last.use_bias) == ((5, 5), 10, (1, 1), False)
    sides = [32] * 4 + [16] * 3 + [8] * 3 + [16] * 2 + [32] * 3
    assert output_sizes(model, np.zeros((1, 32, 32, 3))) == [(side, side) for side in sides]


def test_sizes_of_table_1_are_those_computed():
    model, seen = shared(), []
    features = pictures(1, 32, 32, 3)
    for layer in [*model.encoder_layers, *model.decoder_layers[0]]:
        features = layer(features)
        seen.append(tuple(features.shape[1:3]))
    assert seen == output_sizes(model, np.zeros((1, 32, 32, 3)))


def test_summary_reads_like_table_1():
    lines = []
    shared().summary(print_fn=lambda text, **_: lines.append(text), line_length=120)
    rows = re.findall(r"layer_(\d+)_(conv|deconv)_(\d)x\d_c(\d+)_(?:s(\d)|x10)", "\n".join(lines))
    assert rows == [tuple(map(str, row)) for row in TABLE_1] + [("15", "conv", "5", "1", "")]


def test_trainable_parameters_are_162000_and_164258():
    cnn = gcm.comparison_cnn(10)
    assert sum(int(np.prod(v.shape)) for v in shared().trainable_variables) == 162_000
    assert sum(int(np.prod(v.shape)) for v in cnn.trainable_variables) == 164_258
    widths = [layer.filters for layer in cnn.layers if isinstance(layer, ConvBlock)]
    assert widths == [16, 18, 18, 18, 37, 37, 37, 74, 74, 74]


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_by_formula(num_classes, channels):
    encoder = 9 * (channels * 16 + 3 * 16 * 16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64)
    encoder += 2 * (4 * 16 + 3 * 32 + 3 * 64)
    shared_part = 9 * (64 * 32 + 32 * 32 + 32 * 16 + 16 * 16) + 2 * (2 * 32 + 2 * 16)
    last = 25 * 16
    wanted = {
        "shared": encoder + shared_part + num_classes * last,
        "separate": encoder + num_classes * (shared_part + last),
    }
    for decoder, parameters in wanted.items():
        model = built(num_classes, decoder=decoder, channels=channels)
        assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters, decoder


# --- Equations -------------------------------------------------------------------------------------------------------


def hand_made_network():
    """Two classes, 4x4 pictures. Class 0 weighs each pixel 1, and 2 more if it has a right neighbour; class 1: -3."""
    model = with_constant_features(built(2, size=(4, 4)))
    kernel = np.zeros((5, 5, 16, 2), "float32")
    kernel[2, 2, 0] = [1, -3]
    kernel[2, 3, 5] = [2, 0]
    model.decoder_layers[0][-1].kernel.assign(kernel)
    return model


WEIGHTS_BY_HAND = np.stack([[[3.0, 3, 3, 1]] * 4, np.full((4, 4), -3.0)], axis=-1)
PICTURE_4X4 = np.zeros((1, 4, 4, 3), "float32")
PICTURE_4X4[0, 0, 0] = [1, 0, 0]  # weight 3
PICTURE_4X4[0, 2, 1] = [0.5, 0.5, 0.5]  # weight 3
PICTURE_4X4[0, 3, 3] = [0.25, 0, 0.75]  # weight 1, no right neighbour


def test_equation_1_class_weight_maps_by_hand():
    np.testing.assert_allclose(hand_made_network().weight_maps(PICTURE_4X4)[0], WEIGHTS_BY_HAND, rtol=1e-6)


def test_equation_2_contribution_maps_by_hand():
    model = hand_made_network()
    wanted = np.zeros((4, 4, 3))
    wanted[0, 0], wanted[2, 1], wanted[3, 3] = [3, 0, 0], [1.5, 1.5, 1.5], [0.25, 0, 0.75]
    np.testing.assert_allclose(model.contribution_maps(PICTURE_4X4, classes=0)[0], wanted, rtol=1e-6)
    np.testing.assert_allclose(model.contribution_maps(PICTURE_4X4, classes=1)[0], -3 * PICTURE_4X4[0], rtol=1e-6)


def test_equations_3_and_6_scores_by_hand():
    # class 0: (3 + 4.5 + 1) / 48, class 1: -3 * (1 + 1.5 + 1) / 48; 48 = 4 * 4 * 3, the colours and not the classes
    scores = hand_made_network()(PICTURE_4X4).numpy()[0]
    np.testing.assert_allclose(scores, [8.5 / 48, -10.5 / 48], rtol=1e-6)
    inner_products = [float(np.sum(WEIGHTS_BY_HAND[..., j, None] * PICTURE_4X4[0])) for j in range(2)]
    np.testing.assert_allclose(scores * 48, inner_products, rtol=1e-6)
    np.testing.assert_allclose(gcm.class_scores(WEIGHTS_BY_HAND[None].astype("float32"), PICTURE_4X4)[0], scores)


def test_equation_4_the_predicted_class_is_the_default():
    model, images = shared(), pictures(5, 8, 8, 3)
    predicted = np.argmax(model(images), axis=1)
    np.testing.assert_array_equal(model.contribution_maps(images), model.contribution_maps(images, predicted))


@settings(max_examples=10, deadline=None)
@given(height=st.sampled_from([4, 8, 20]), width=st.sampled_from([4, 12]), seed=st.integers(0, 10_000))
def test_completeness_for_all_classes(height, width, seed):
    image = pictures(1, height, width, 3, seed=seed)
    maps = shared().contribution_maps(np.repeat(image, 10, axis=0), classes=range(10)).numpy()
    assert maps.dtype == np.float32 and maps.shape == (10, height, width, 3)
    np.testing.assert_allclose(maps.mean(axis=(1, 2, 3), dtype="float64"), shared()(image)[0], rtol=1e-5)


def test_score_is_the_exact_sum_of_the_halves():
    model, images = shared(), pictures(3, 8, 8, 3)
    maps = model.contribution_maps(images, classes=4).numpy()
    halves = maps[:, :, :4].sum((1, 2, 3)) + maps[:, :, 4:].sum((1, 2, 3))
    np.testing.assert_allclose(halves / maps[0].size, model(images)[:, 4], rtol=1e-5)


def test_weight_maps_equal_plain_keras_layers():
    """The same weights in a functional network of Keras' own layers, batch normalisation included."""
    model, images = shared(), pictures(2, 16, 12, 3)
    rng = np.random.default_rng(1)
    for variable in model.non_trainable_variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    inputs = x = keras.Input((16, 12, 3))
    for block in [*model.encoder_layers, *model.decoder_layers[0][:-1]]:
        x = type(block.conv)(block.filters, 3, block.strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    plain = keras.Model(inputs, layers.Conv2D(10, 5, padding="same", use_bias=False)(x))
    plain.set_weights([w for layer in [*model.encoder_layers, *model.decoder_layers[0]] for w in layer.get_weights()])
    np.testing.assert_allclose(model.weight_maps(images), plain(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("images, classes", [(2, [1]), (2, [1, 2, 0]), (1, [1, 2]), (2, [[0, 1]])])
def test_another_number_of_classes_than_images_raises(images, classes):
    with pytest.raises(ValueError, match="one class, or one for each"):
        shared().contribution_maps(pictures(images, 8, 8, 3), classes)


def test_guided_methods_find_the_relu_of_a_clipped_network():
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


# --- The batch normalisation in one kernel ---------------------------------------------------------------------------


def test_fused_normalisation_equals_keras_own_in_training():
    ours, theirs = FusedBatchNormalization(), layers.BatchNormalization()
    images = tf.constant(pictures(4, 6, 5, 7) * 3 - 1)
    results = []
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
    collected = np.asarray(ours.moving_variance) - 0.99, np.asarray(theirs.moving_variance) - 0.99
    np.testing.assert_allclose(collected[0], collected[1] * 120 / 119, rtol=1e-3)  # unbiased: n / (n - 1)


# --- What Keras may ask of a model -----------------------------------------------------------------------------------

VARIANTS = [{}, {"decoder": "separate"}, {"clip": True}]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_saved_loaded_and_cloned_models_give_the_same_scores(options, tmp_path):
    model, images = built(3, **options), pictures(2, 8, 8, 3)
    wanted = model(images).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert (loaded.num_classes, loaded.decoder, loaded.clip) == (3, model.decoder, model.clip)
    np.testing.assert_array_equal(loaded(images), wanted)
    model.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(model)
    clone.build((None, 8, 8, 3))
    assert np.abs(clone(images).numpy() - wanted).max() > 1e-4  # fresh weights
    clone.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(clone(images), wanted)


def test_comparison_cnn_saves_and_centres(tmp_path):
    model, images = gcm.comparison_cnn(4), pictures(2, 8, 8, 3)
    model.save(tmp_path / "cnn.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "cnn.keras")(images), model(images))
    np.testing.assert_allclose(model(images).numpy().sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.get_layer("centring")(images), images - [0.4914, 0.4822, 0.4465], atol=1e-6)


def test_compiled_by_xla():
    model, images = built(2, size=(4, 4)), pictures(6, 4, 4, 3)
    eager, labels = model(images).numpy(), np.arange(6) % 2
    model.compile(
        keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True
    )
    np.testing.assert_allclose(model.predict(images, verbose=0), eager, rtol=1e-4, atol=1e-5)
    losses = [float(model.train_on_batch(images, labels)) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_contribution_maps_inside_a_tf_function():
    model, images = shared(), pictures(2, 8, 8, 3)
    traced = tf.function(model.contribution_maps, jit_compile=True)(tf.constant(images), tf.constant([3, 7]))
    np.testing.assert_allclose(traced, model.contribution_maps(images, [3, 7]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)])
def test_mixed_precision_keeps_scores_and_maps_float32(policy, tolerance):
    exact, mixed = built(3), built(3, dtype=policy)
    mixed.set_weights(exact.get_weights())
    images = pictures(4, 8, 8, 3)
    assert {str(v.dtype) for v in mixed.variables} == {"float32"}
    for ours, wanted in [
        (mixed(images), exact(images)),
        (mixed.weight_maps(images), exact.weight_maps(images)),
        (mixed.contribution_maps(images, 1), exact.contribution_maps(images, 1)),
    ]:
        assert ours.dtype == "float32"
        assert np.abs(ours - wanted).max() < tolerance * np.abs(wanted).max()
    scores = mixed(images).numpy()
    np.testing.assert_allclose(
        mixed.contribution_maps(images, 2).numpy().mean((1, 2, 3)), scores[:, 2], rtol=1e-5, atol=1e-6
    )
    mixed.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(mixed.train_on_batch(images, np.array([0, 1, 2, 0])))


def test_pixels_are_not_rounded_to_half_precision():
    """A contribution map in bfloat16 is still the exact product with the picture: brightness is taken in float32."""
    model, images = built(2, dtype="mixed_bfloat16"), pictures(1, 4, 4, 3)
    weights = model.weight_maps(images).numpy()
    np.testing.assert_array_equal(model.contribution_maps(images, 1), weights[..., 1:] * images)


def test_global_policy_is_followed():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = built(2), gcm.comparison_cnn(2)
    finally:
        keras.config.set_dtype_policy(before)
    for model in models:
        blocks = [layer for layer in model._flatten_layers() if isinstance(layer, ConvBlock)]
        assert blocks and all(block.conv.compute_dtype == "bfloat16" for block in blocks)
        assert model(pictures(1, 8, 8, 3)).dtype == "float32"


@pytest.mark.parametrize("num_classes", [1, 1000])
def test_one_and_a_thousand_classes(num_classes):
    model, images = built(num_classes), pictures(2, 8, 8, 3)
    assert model(images).shape == (2, num_classes) and model.weight_maps(images).shape == (2, 8, 8, num_classes)
    last = num_classes - 1
    maps = model.contribution_maps(images, last).numpy()
    np.testing.assert_allclose(maps.mean((1, 2, 3)), model(images)[:, last], rtol=1e-5, atol=1e-7)
    if num_classes == 1:
        np.testing.assert_array_equal(gcm.ContributionMaps(model)(images), gcm.ContributionMaps(model)(images, 0))


def test_any_size_divisible_by_four_without_a_rebuild():
    model = shared()
    for size in [(4, 4), (160, 32), (12, 44)]:
        assert model.weight_maps(pictures(1, *size, 3)).shape == (1, *size, 10)


# --- Faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(30, 32), (32, 33), (2, 2)])
def test_sizes_that_cannot_be_halved_twice_raise(size):
    for take in (shared(), shared().weight_maps, shared().contribution_maps):
        with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*divisible by 4"):
            take(pictures(1, *size, 3))
    with pytest.raises(ValueError, match="divisible by 4"):
        gcm.GCM(10).build((None, *size, 3))


@pytest.mark.parametrize("size", [(5, 4), (9, 8), (1, 4), (1, 1)])
def test_sizes_known_only_when_it_runs_raise_too(size):
    model = shared()
    for take in (model, model.weight_maps):
        late = tf.function(take, input_signature=[tf.TensorSpec([None, None, None, 3])])
        assert late(pictures(1, 8, 4, 3)).shape[0] == 1
        with pytest.raises(tf.errors.InvalidArgumentError, match="divisible by 4"):
            late(pictures(1, *size, 3))
    model.compile(jit_compile=False)  # XLA, Keras' choice on a GPU, drops such checks
    for fits in [(4, 4), (8, 8)]:
        model.predict(pictures(1, *fits, 3), verbose=0)  # from the second size on Keras leaves height and width open
    with pytest.raises(tf.errors.InvalidArgumentError, match="divisible by 4"):
        model.predict(pictures(1, *size, 3), verbose=0)


@pytest.mark.parametrize("chosen", [-1, 10])
def test_classes_known_only_when_it_runs_raise_too(chosen):
    maps = tf.function(shared().contribution_maps)
    assert maps(pictures(1, 4, 4, 3), tf.constant(9)).shape == (1, 4, 4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="classes 0 to 9"):
        maps(pictures(1, 4, 4, 3), tf.constant(chosen))
    with pytest.raises(ValueError, match="integers are wanted"):
        maps(pictures(1, 4, 4, 3), tf.constant(1.0))


def test_small_integer_types_hold_classes_too():
    """A bound of 256 classes does not fit into the uint8 that the classes come in."""
    model = gcm.GCM(256)
    images = pictures(1, 4, 4, 3)
    late = tf.function(model.contribution_maps)(images, tf.constant(200, tf.uint8))
    np.testing.assert_allclose(late, model.contribution_maps(images, np.uint8(200)), rtol=1e-5, atol=1e-6)


def test_other_faults_raise_and_say_what_is_wanted():
    model = shared()
    for take in (model, model.weight_maps, model.contribution_maps):
        with pytest.raises(ValueError, match="1 channels; this GCM was built for 3"):
            take(pictures(1, 8, 8, 1))
        with pytest.raises(ValueError, match="add the batch axis"):
            take(pictures(8, 8, 3))
        with pytest.raises(ValueError, match=r"uint8; GCM takes floats in \[0, 1\]"):
            take(np.zeros((1, 8, 8, 3), "uint8"))
        with pytest.raises(ValueError, match="an empty batch"):
            take(pictures(1, 8, 8, 3)[:0])
    for classes in (10, -1, [0, 10], 1.0):
        with pytest.raises(ValueError, match="classes 0 to 9"):
            model.contribution_maps(pictures(2, 8, 8, 3), classes)
    with pytest.raises(ValueError, match='"shared"'):
        gcm.GCM(10, decoder="both")
    for number in (0, 2.0, "10", None):
        with pytest.raises(ValueError, match="an integer of at least 1"):
            gcm.GCM(number)
        with pytest.raises(ValueError, match="an integer of at least 1"):
            gcm.comparison_cnn(number)
    assert gcm.comparison_cnn(np.int64(3)).output_shape == (None, 3)
    with pytest.raises(ValueError, match="must know the number of channels"):
        gcm.GCM(3).build((None, 8, 8, None))
    with pytest.raises(ValueError, match="1 channels; this GCM was built for 3"):
        model.build((None, 8, 8, 1))


def test_weight_maps_before_the_first_call_build_the_network_once():
    model, images = gcm.GCM(2), pictures(1, 8, 8, 3)
    model.weight_maps(images)
    count = len(model.variables)
    model(images)
    assert len(model.variables) == count == 14 * 5 + 1


# --- The explainer contract ------------------------------------------------------------------------------------------


def test_explainer_maps_average_to_the_scores():
    model, images = shared(), pictures(4, 8, 8, 3)
    explain = gcm.ContributionMaps(model)
    scores = model(images).numpy()
    maps = explain(images, [1, 2, 3, 4])
    assert isinstance(maps, np.ndarray) and maps.dtype == np.float32 and maps.shape == (4, 8, 8)
    np.testing.assert_allclose(maps.mean((1, 2)), scores[range(4), [1, 2, 3, 4]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps, model.contribution_maps(images, [1, 2, 3, 4]).numpy().mean(-1), atol=1e-6)
    np.testing.assert_array_equal(explain(images), explain(images, scores.argmax(axis=1)))
    np.testing.assert_array_equal(gcm.ContributionMaps(model, "positive")(images, 5), np.maximum(explain(images, 5), 0))


def test_explainer_gives_for_a_batch_what_single_pictures_give_and_traces_once():
    explain, images = gcm.ContributionMaps(shared()), pictures(3, 8, 8, 3)
    together = explain(images, 2)
    for index in range(3):
        np.testing.assert_allclose(explain(images[index : index + 1], 2)[0], together[index], atol=1e-6)
    assert explain.traces == 1


def test_explainer_faults():
    with pytest.raises(TypeError, match="a GCM is wanted"):
        gcm.ContributionMaps(gcm.comparison_cnn(3))
    with pytest.raises(ValueError, match="part 'half'"):
        gcm.ContributionMaps(shared(), part="half")
    with pytest.raises(ValueError, match="0 to 9"):
        gcm.ContributionMaps(shared())(pictures(1, 8, 8, 3), 10)
    with pytest.raises(ValueError, match="divisible by 4"):
        gcm.ContributionMaps(shared())(pictures(1, 8, 9, 3))


def test_other_explainers_work_on_both_networks():
    images = pictures(2, 8, 8, 3)
    cnn = gcm.comparison_cnn(3)
    assert gradcam.GradCAM(cnn)(images).shape == (2, 2, 2)
    assert gradcam.CAM(cnn)(images).shape == (2, 2, 2)
    for network in (cnn, shared()):
        gradients = guided.GuidedBackprop(network)(images)
        assert gradients.shape == images.shape and np.isfinite(gradients).all()


def test_models_are_freed():
    model = built(2)
    gcm.ContributionMaps(model)(pictures(1, 8, 8, 3))
    forgotten = weakref.ref(model)
    del model
    gc.collect()
    assert forgotten() is None


# --- The trained networks --------------------------------------------------------------------------------------------


def test_a_frozen_normalisation_keeps_its_statistics():
    norm, plain = FusedBatchNormalization(), layers.BatchNormalization()
    images = pictures(4, 6, 6, 2)
    for layer in (norm, plain):
        layer.build(images.shape)
        layer.set_weights(list(np.array([[1.5, 0.5], [0.1, -0.2], [0.3, 0.4], [0.9, 1.2]])))
        layer.trainable = False
    np.testing.assert_allclose(norm(images, training=True), plain(images, training=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.moving_mean, [0.3, 0.4])


@pytest.mark.parametrize("policy", ["float16", "float64"])
def test_normalisation_under_policies_without_float32(policy):
    norm, plain = FusedBatchNormalization(dtype=policy), layers.BatchNormalization(dtype=policy)
    images = pictures(4, 6, 6, 2)
    np.testing.assert_allclose(norm(images, training=True), plain(images, training=True), rtol=1e-2)


def test_load_trained_faults(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="choose one of gcm, gcm-clipped, cnn"):
        gcm.load_trained("resnet")
    with pytest.raises(FileNotFoundError, match='VARIANT=gcm-clipped EPOCHS=60 ARGS="--ship gcm-clipped"'):
        gcm.load_trained("gcm-clipped")
    (tmp_path / "gcm.weights.h5").write_bytes(b"not a file of weights")
    with pytest.raises(OSError):
        gcm.load_trained("gcm")


@pytest.mark.parametrize("name", gcm.SHIPPED)
def test_load_trained_loads_what_was_saved(monkeypatch, tmp_path, name):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    model, images = gcm.untrained(gcm.SHIPPED[name][0]), pictures(1, 32, 32, 3)
    model.save_weights(tmp_path / f"{name}.weights.h5")
    assert (tmp_path / f"{name}.weights.h5").stat().st_size < 1e6
    np.testing.assert_array_equal(gcm.load_trained(name)(images), model(images))


@pytest.mark.parametrize("name", gcm.SHIPPED)
def test_claimed_accuracy_on_a_thousand_test_pictures(name):
    claimed = shipped.known(name)["test_accuracy"]
    data = cifar10.load()
    if not data.is_real:
        pytest.skip("CIFAR-10 is not here: " + cifar10.HOW_TO_GET_IT)
    model = gcm.load_trained(name)
    images = data.test_images[:1000].astype("float32") / 255
    scores = np.concatenate([model(images[i : i + 250]).numpy() for i in range(0, 1000, 250)])
    accuracy = np.mean(scores.argmax(axis=1) == data.test_labels[:1000])
    assert abs(accuracy - claimed) < 0.03  # three standard errors of 1,000 pictures


def test_trained_maps_are_complete():
    if not cifar10.load().is_real:
        pytest.skip("CIFAR-10 is not here: " + cifar10.HOW_TO_GET_IT)
    model = gcm.load_trained("gcm")
    images = cifar10.load().test_images[:50].astype("float32") / 255
    scores = model(images).numpy()
    for j in range(10):
        maps = model.contribution_maps(images, j).numpy()
        np.testing.assert_allclose(maps.mean((1, 2, 3), dtype="float64"), scores[:, j], rtol=1e-5)
