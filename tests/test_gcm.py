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

from helpers import gcm, gradcam, guided, paths, training
from helpers.gcm import cifar10
from helpers.gcm.conv_block import ConvBlock, FusedBatchNormalization
from helpers.training import batches, shipped

TABLE_1 = """conv 16 1, conv 16 1, conv 16 1, conv 16 1, conv 32 2, conv 32 1, conv 32 1, conv 64 2, conv 64 1,
conv 64 1, deconv 32 2, conv 32 1, deconv 16 2, conv 16 1"""  # kind, filters, strides; every kernel is 3x3
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


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


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(gcm.model, "ENCODER", [(16, 1), (32, 2), (64, 2)])  # three of its ten rows


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
@given(height=st.sampled_from([4, 8, 20]), width=st.sampled_from([4, 12]), seed=st.integers(0, 10_000))
def test_completeness_for_all_classes(height, width, seed):
    image = pictures(1, height, width, 3, seed=seed)
    maps = shared().contribution_maps(np.repeat(image, 10, axis=0), classes=range(10)).numpy()
    assert maps.dtype == np.float32 and maps.shape == (10, height, width, 3)
    np.testing.assert_allclose(maps.mean(axis=(1, 2, 3), dtype="float64"), shared()(image)[0], rtol=1e-5)


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


def test_guided_methods_find_the_relu_of_a_clipped_network(short):
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


# --- What Keras may ask of a model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"decoder": "separate"}, {"clip": True}], ids=str)
def test_saved_loaded_and_cloned_models_give_the_same_scores(options, tmp_path, short):
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


def test_comparison_cnn_saves_centres_and_has_164258_parameters(tmp_path):
    model, images = gcm.comparison_cnn(4), pictures(2, 8, 8, 3)
    model.save(tmp_path / "cnn.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "cnn.keras")(images), model(images))
    np.testing.assert_allclose(model(images).numpy().sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.get_layer("centring")(images), images - [0.4914, 0.4822, 0.4465], atol=1e-6)
    assert parameters(gcm.comparison_cnn(10)) == 164_258
    widths = [16, 18, 18, 18, 37, 37, 37, 74, 74, 74]
    assert [layer.filters for layer in model.layers if isinstance(layer, ConvBlock)] == widths


def test_compiled_by_xla(short):
    model, images = built(2, size=(4, 4)), pictures(6, 4, 4, 3)
    eager, labels = model(images).numpy(), np.arange(6) % 2
    traced = tf.function(model.contribution_maps, jit_compile=True)(tf.constant(images[:2]), tf.constant([1, 0]))
    np.testing.assert_allclose(traced, model.contribution_maps(images[:2], [1, 0]), rtol=1e-4, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.05), CROSS_ENTROPY, jit_compile=True)
    np.testing.assert_allclose(model.predict(images, verbose=0), eager, rtol=1e-4, atol=1e-5)
    losses = [float(model.train_on_batch(images, labels)) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)])
def test_mixed_precision_keeps_scores_and_maps_float32(policy, tolerance):
    exact, mixed = built(3), built(3, dtype=policy)
    mixed.set_weights(exact.get_weights())
    images = pictures(4, 8, 8, 3)
    assert {str(v.dtype) for v in mixed.variables} == {"float32"}
    for ask, *classes in (["__call__"], ["weight_maps"], ["contribution_maps", 1]):
        ours, wanted = (getattr(model, ask)(images, *classes) for model in (mixed, exact))
        assert ours.dtype == "float32"
        assert np.abs(ours - wanted).max() < tolerance * np.abs(wanted).max()
    weights, pixels = mixed.weight_maps(images).numpy()[..., 1:2], mixed.contribution_maps(images, 1)
    np.testing.assert_array_equal(pixels, weights * images)  # pixels are not rounded to half precision
    maps, scores = mixed.contribution_maps(images, 2).numpy(), mixed(images).numpy()
    np.testing.assert_allclose(maps.mean((1, 2, 3)), scores[:, 2], rtol=1e-5, atol=1e-6)
    mixed.compile(keras.optimizers.SGD(0.01), CROSS_ENTROPY)
    assert np.isfinite(mixed.train_on_batch(images, np.array([0, 1, 2, 0])))


def test_global_policy_is_followed(request):
    request.addfinalizer(lambda: keras.config.set_dtype_policy("float32"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    for model in (built(2), gcm.comparison_cnn(2)):
        blocks = [layer for layer in model._flatten_layers() if isinstance(layer, ConvBlock)]
        assert blocks and all(block.conv.compute_dtype == "bfloat16" for block in blocks)
        assert model(pictures(1, 8, 8, 3)).dtype == "float32"


@pytest.mark.parametrize("num_classes", [1, 1000])
def test_one_and_a_thousand_classes(num_classes):
    model, images = built(num_classes), pictures(2, 8, 8, 3)
    assert model(images).shape == (2, num_classes) and model.weight_maps(images).shape == (2, 8, 8, num_classes)
    maps = model.contribution_maps(images, num_classes - 1).numpy()
    np.testing.assert_allclose(maps.mean((1, 2, 3)), model(images)[:, -1], rtol=1e-5, atol=1e-7)
    if num_classes == 1:
        explain = gcm.ContributionMaps(model)
        np.testing.assert_array_equal(explain(images), explain(images, 0))


# --- Faults ----------------------------------------------------------------------------------------------------------


def refused(message, ask, *arguments, error=ValueError):
    with pytest.raises(error, match=message):
        ask(*arguments)


@pytest.mark.parametrize("size", [(30, 32), (32, 33), (2, 2)])
def test_sizes_that_cannot_be_halved_twice_raise(size):
    for take in (shared(), shared().weight_maps, shared().contribution_maps, gcm.ContributionMaps(shared())):
        refused(f"{size[0]}x{size[1]}.*divisible by 4", take, pictures(1, *size, 3))
    refused("divisible by 4", gcm.GCM(10).build, (None, *size, 3))
    for fits in [(4, 4), (160, 32), (12, 44)]:  # without a rebuild
        assert shared().weight_maps(pictures(1, *fits, 3)).shape == (1, *fits, 10)


def test_sizes_known_only_when_it_runs_raise_too():
    model = shared()
    model.compile(jit_compile=False)  # XLA, Keras' choice on a GPU, drops such checks
    for fits in [(4, 4), (8, 8)]:
        model.predict(pictures(1, *fits, 3), verbose=0)  # from the second size on Keras leaves height and width open
    spec = tf.TensorSpec([None, None, None, 3])
    late = [tf.function(take, input_signature=[spec]) for take in (model, model.weight_maps)]
    for take in (*late, functools.partial(model.predict, verbose=0)):
        assert take(pictures(1, 8, 4, 3)).shape[0] == 1
        for size in [(5, 4), (9, 8), (1, 4), (1, 1)]:
            refused("divisible by 4", take, pictures(1, *size, 3), error=tf.errors.InvalidArgumentError)


def test_classes_known_only_when_it_runs():
    """A bound of 256 classes does not fit into the uint8 that some classes come in."""
    maps, image = tf.function(shared().contribution_maps), pictures(1, 4, 4, 3)
    assert maps(image, tf.constant(9)).shape == (1, 4, 4, 3)
    for chosen in (-1, 10):
        refused("classes 0 to 9", maps, image, tf.constant(chosen), error=tf.errors.InvalidArgumentError)
    refused("integers are wanted", maps, image, tf.constant(1.0))
    many = gcm.GCM(256)
    late = tf.function(many.contribution_maps)(image, tf.constant(200, tf.uint8))
    np.testing.assert_allclose(late, many.contribution_maps(image, np.uint8(200)), rtol=1e-5, atol=1e-6)


def test_other_faults_of_networks_and_explainers_raise_and_say_what_is_wanted():
    model, images = shared(), pictures(2, 8, 8, 3)
    for take in (model, model.weight_maps, model.contribution_maps):
        refused("1 channels; this GCM was built for 3", take, images[..., :1])
        refused("add the batch axis", take, images[0])
        refused(r"uint8; GCM takes floats in \[0, 1\]", take, images.astype("uint8"))
        refused("an empty batch", take, images[:0])
    for classes in (10, -1, [0, 10], 1.0):
        refused("classes 0 to 9", model.contribution_maps, images, classes)
    for classes in ([1], [1, 2, 0], [[0, 1]]):
        refused("one class, or one for each", model.contribution_maps, images, classes)
    refused("one class, or one for each", model.contribution_maps, images[:1], [1, 2])
    refused("0 to 9", gcm.ContributionMaps(model), images, 10)
    refused("part 'half'", gcm.ContributionMaps, model, "half")
    refused("a GCM is wanted", gcm.ContributionMaps, gcm.comparison_cnn(3), error=TypeError)
    refused('"shared"', gcm.GCM, 10, "both")
    for number in (0, 2.0, "10", None):
        refused("an integer of at least 1", gcm.GCM, number)
        refused("an integer of at least 1", gcm.comparison_cnn, number)
    assert gcm.comparison_cnn(np.int64(3)).output_shape == (None, 3)
    refused("must know the number of channels", gcm.GCM(3).build, (None, 8, 8, None))


def test_weight_maps_before_the_first_call_build_the_network_once():
    model, images = gcm.GCM(2), pictures(1, 8, 8, 3)
    model.weight_maps(images)
    count = len(model.variables)
    model(images)
    assert len(model.variables) == count == 14 * 5 + 1


def test_explainer_maps_average_to_the_scores():
    model, images, classes = shared(), pictures(4, 8, 8, 3), [1, 2, 3, 4]
    explain, scores = gcm.ContributionMaps(model), model(images).numpy()
    maps, predicted = explain(images, classes), scores.argmax(axis=1)
    assert isinstance(maps, np.ndarray) and maps.dtype == np.float32 and maps.shape == (4, 8, 8)
    np.testing.assert_allclose(maps.mean((1, 2)), scores[range(4), classes], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps, model.contribution_maps(images, classes).numpy().mean(-1), atol=1e-6)
    for index in range(4):  # a picture alone
        np.testing.assert_allclose(explain(images[index : index + 1], classes[index])[0], maps[index], atol=1e-6)
    assert explain.traces == 1
    np.testing.assert_array_equal(explain(images), explain(images, predicted))  # equation 4
    np.testing.assert_array_equal(model.contribution_maps(images), model.contribution_maps(images, predicted))
    np.testing.assert_array_equal(gcm.ContributionMaps(model, "positive")(images, 5), np.maximum(explain(images, 5), 0))


def test_other_explainers_work_on_both_networks():
    cnn, images = gcm.comparison_cnn(3), pictures(2, 8, 8, 3)
    assert gradcam.GradCAM(cnn)(images).shape == gradcam.CAM(cnn)(images).shape == (2, 2, 2)
    assert all(np.isfinite(guided.GuidedBackprop(network)(images)).all() for network in (cnn, shared()))


def test_models_are_freed(short):
    model = built(2)
    gcm.ContributionMaps(model)(pictures(1, 8, 8, 3))
    forgotten = weakref.ref(model)
    del model
    gc.collect()
    assert forgotten() is None


# --- The trained networks --------------------------------------------------------------------------------------------


def test_load_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    refused("choose one of gcm, gcm-clipped, cnn", gcm.load_trained, "resnet")
    command = 'VARIANT=gcm-clipped EPOCHS=60 ARGS="--ship gcm-clipped"'
    refused(command, gcm.load_trained, "gcm-clipped", error=FileNotFoundError)
    for name, (variant, *_) in gcm.SHIPPED.items():
        model, images, file = gcm.untrained(variant), pictures(1, 32, 32, 3), tmp_path / f"{name}.weights.h5"
        model.save_weights(file)
        assert file.stat().st_size < 1e6
        np.testing.assert_array_equal(gcm.load_trained(name)(images), model(images))
        file.write_bytes(b"not a file of weights")
        refused(None, gcm.load_trained, name, error=OSError)


@pytest.fixture(scope="module")
def thousand():
    """A thousand test pictures of CIFAR-10 in [0, 1], and their labels."""
    data = cifar10.load()
    if not data.is_real:
        pytest.skip("CIFAR-10 is not here: " + cifar10.HOW_TO_GET_IT)
    return data.test_images[:1000].astype("float32") / 255, data.test_labels[:1000]


@pytest.mark.parametrize("name", gcm.SHIPPED)
def test_claimed_accuracy_on_a_thousand_test_pictures(name, thousand):
    images, labels = thousand
    accuracy = np.mean(batches.predict_all(gcm.load_trained(name), images, 250).argmax(axis=1) == labels)
    assert abs(accuracy - shipped.known(name)["test_accuracy"]) < 0.03  # three standard errors of 1,000 pictures


def test_the_model_card_says_what_is_known_of_the_network():
    card, about = (paths.WEIGHTS / "gcm.md").read_text(encoding="utf-8"), shipped.known("gcm")
    _, epochs, l2 = gcm.SHIPPED["gcm"]
    count = sum(int(np.prod(variable.shape)) for variable in gcm.untrained("gcm").trainable_variables)
    log = np.genfromtxt(paths.WEIGHTS / about["log"], delimiter=",", names=True)
    for said in (
        training.accuracy_text(about["test_accuracy"], about["test_images"]),
        f"{count:,} parameters",
        f"{epochs} epochs; L2 penalty: {l2 or 'none'}; seed {about['seed']}",
        f"{about['train_images']:,} training pictures",
        f"{100 * log[-1]['accuracy']:.1f} % right in the last epoch",
        f"`{about['log']}`",
    ):
        assert said in card, said
    assert ("JPEG copies" in card) == ("jpeg" in about["data"])


def test_trained_maps_are_complete(thousand):
    model, images = gcm.load_trained("gcm"), thousand[0][:50]
    scores = model(images).numpy()
    for j in range(10):
        maps = model.contribution_maps(images, j).numpy()
        np.testing.assert_allclose(maps.mean((1, 2, 3), dtype="float64"), scores[:, j], rtol=1e-5)
