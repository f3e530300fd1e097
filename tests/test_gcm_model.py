"""GCM as a Keras model: saving, precision, and faults."""

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_gcm import built, parameters, pictures, shared

from helpers import gcm
from helpers.gcm.conv_block import ConvBlock

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- What Keras may ask of a model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"decoder": "separate"}, {"clip": True}], ids=str)
def test_saved_loaded_and_cloned_models_give_the_same_scores(options, tmp_path, short_encoder):
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


def test_compiled_by_xla(short_encoder):
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


def test_global_policy_is_followed():
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
    refused("expected integers", maps, image, tf.constant(1.0))
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
    refused("expected a GCM", gcm.ContributionMaps, gcm.comparison_cnn(3), error=TypeError)
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


def test_models_are_freed(short_encoder):
    model = built(2)
    gcm.ContributionMaps(model)(pictures(1, 8, 8, 3))
    forgotten = weakref.ref(model)
    del model
    gc.collect()
    assert forgotten() is None
