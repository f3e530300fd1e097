"""Grad-CAM of signals, rows of numbers and tokens."""

import itertools

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose
from test_gradcam import PICTURES

from helpers.gradcam import GradCAM
from helpers.guided import Gradient, GuidedBackprop, GuidedGradCAM


def columns(*, signals):
    """The same network for signals [B, T, 3] and for pictures [B, T, 1, 3] that are one column wide."""
    convolution, pool, mean = layers.Conv2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D
    size, shape = (lambda length: (length, 1)), (None, 1, 3)
    if signals:
        convolution, pool, mean = layers.Conv1D, layers.MaxPooling1D, layers.GlobalAveragePooling1D
        size, shape = (lambda length: length), (None, 3)
    hidden = [convolution(4, size(3), activation="relu"), pool(size(2)), convolution(5, size(3))]
    return networks.stack(*hidden, layers.ReLU(name="last"), mean(), layers.Dense(2), shape=shape)


@pytest.mark.parametrize("explainer", [GradCAM, Gradient, GuidedBackprop, GuidedGradCAM])
def test_a_signal_is_explained_as_a_picture_one_column_wide(explainer):
    signal, picture = columns(signals=True), columns(signals=False)
    for weight, other in zip(signal.weights, picture.weights, strict=True):
        other.assign(ops.reshape(weight, other.shape))
    pictures = np.random.default_rng(0).normal(size=(3, 20, 1, 3)).astype(np.float32)
    explain = explainer(signal)
    for classes in (1, None):
        wanted = np.squeeze(explainer(picture)(pictures, classes), axis=2)
        assert_allclose(explain(pictures[:, :, 0], classes), wanted, rtol=1e-4, atol=1e-7)
    assert wanted.shape == ((3, 7) if explainer is GradCAM else (3, 20, 3)) and np.abs(wanted).max() > 0
    assert explain(pictures[:, :16, 0]).shape == ((3, 5) if explainer is GradCAM else (3, 16, 3))


@pytest.mark.parametrize("shape", [(128,), (128, 1)])
def test_a_spectrograms_map_is_not_laid_over_its_signal(shape):
    spectrogram = layers.STFTSpectrogram(frame_length=16, frame_step=16, fft_length=16, expand_dims=True)
    hidden = [layers.Reshape((128, 1)), spectrogram, layers.Conv2D(4, 3, activation="relu", name="last")]
    network = networks.stack(*hidden, layers.GlobalAveragePooling2D(), layers.Dense(2), shape=shape)
    signal = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    assert GradCAM(network, "last")(signal, 1).shape[2] == 7  # frequencies
    with pytest.raises(ValueError, match=r"'last' gives maps \(\d+, 7\), and the signal is .* use GradCAM"):
        GuidedGradCAM(network, "last")(signal, 1)


def test_words_and_rows_of_numbers_have_maps_too():
    """[B, T]: a text's numbers of words have no gradient, a raw recording's values have."""

    def behind():
        return [layers.Conv1D(4, 3, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(2)]

    words = keras.Input((9,), dtype="int32")
    chain = [layers.Embedding(20, 3), *behind()]
    text = keras.Model(words, networks.chained(words, chain))
    numbers = np.arange(18).reshape(2, 9)
    maps = np.asarray(networks.chained(numbers, chain[:2]))
    wanted = np.maximum(maps @ np.asarray(chain[-1].kernel)[:, 1] / 7, 0)
    np.testing.assert_allclose(GradCAM(text)(numbers, 1), wanted, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match=r"takes int32, and there is no gradient .* use GradCAM"):
        Gradient(text)(numbers, 1)
    recording = networks.stack(layers.Reshape((9, 1)), *behind(), shape=(9,))
    values = np.random.default_rng(0).normal(size=(2, 9)).astype(np.float32)
    assert GradCAM(recording)(values, 1).shape == (2, 7) and Gradient(recording)(values, 1).shape == (2, 9)


def test_tokens_are_a_picture_row_by_row():
    """A network on tokens and the same network on their picture, 2 rows of 3; a token before them is left out."""
    picture = networks.stack(layers.Dense(4, "relu"), layers.GlobalAveragePooling2D(), layers.Dense(2), shape=(2, 3, 5))
    rows = [layers.Reshape((6, 5)), layers.Dense(4, "relu", name="last"), layers.GlobalAveragePooling1D()]
    tokens = networks.stack(*rows, layers.Dense(2), shape=(2, 3, 5))
    read = layers.Lambda(lambda tokens: ops.mean(tokens[:, 1:], 1))
    leading = [networks.ClassToken(), layers.Dense(4, "relu", name="last"), read]
    with_class = networks.stack(layers.Reshape((6, 5)), *leading, layers.Dense(2), shape=(2, 3, 5))
    pictures = np.random.default_rng(0).normal(size=(3, 2, 3, 5)).astype(np.float32)
    weights = picture.get_weights()
    tokens.set_weights(weights)
    with_class.set_weights([with_class.get_weights()[0], *weights])
    for explainer, network in ((GradCAM, tokens), (GuidedGradCAM, tokens), (GradCAM, with_class)):
        wanted = explainer(picture)(pictures, 1)
        assert_allclose(explainer(network, tokens=(2, 3))(pictures, 1), wanted, rtol=1e-4, atol=1e-7)
    assert GradCAM(tokens, "last", tokens=np.array([3, 2]))(pictures).shape == (3, 3, 2)


READINGS = {  # further tokens, and what is read of them
    "class": (1, lambda tokens: tokens[:, 0]),
    "class, as a row": (1, lambda tokens: ops.squeeze(tokens[:, :1], 1)),
    "class and distillation": (2, lambda tokens: (tokens[:, 0] + tokens[:, 1]) / 2),
    "both as rows": (2, lambda tokens: ops.mean(tokens[:, :2], axis=1)),
    "class alone": (2, lambda tokens: tokens[:, 0]),
}


@pytest.mark.parametrize(("reading", "by_hand"), [*itertools.product(READINGS, [False]), ("class", True)])
def test_vision_transformer_that_reads_its_further_tokens(reading, by_hand):
    """Behind its last attention the other tokens have no gradient; the map is the last one before it."""
    further, read = READINGS[reading]
    network = networks.vision_transformer(read, further, by_hand)
    second, (last, read, scores) = network.get_layer("second"), network.layers[-3:]
    before = keras.Model(network.input, second.input)(PICTURES)
    normed = second.before(before)
    with tf.GradientTape() as tape:
        tape.watch(normed)
        score = scores(read(last(second.rest(before, normed))))[:, 2]
    weights = tf.reduce_mean(tape.gradient(score, normed)[:, further:], axis=1)
    wanted = np.maximum(np.einsum("btk,bk->bt", normed[:, further:], weights), 0).reshape(3, 3, 4)
    assert_allclose(GradCAM(network, "second/before", tokens=(3, 4))(PICTURES, 2), wanted, rtol=1e-3, atol=1e-6)
    explain = GradCAM(network, tokens=(3, 4))
    assert_allclose(explain(PICTURES, 2), wanted, rtol=1e-3, atol=1e-6)
    for layer in ("last", "second"):
        with pytest.raises(
            ValueError, match=f"'{layer}' is not on the path to the score with more than its further tokens"
        ):
            GradCAM(network, layer, tokens=(3, 4))(PICTURES)


@pytest.mark.parametrize("further", [0, 1, 2])
def test_vision_transformer_that_averages_its_tokens(further):
    network = networks.vision_transformer(lambda tokens: ops.mean(tokens, axis=1), further)
    last = keras.Model(network.input, network.get_layer("last").output)(PICTURES).numpy()[:, further:]
    kernel = network.get_layer("scores").kernel.numpy()[:, 1] / (12 + further)
    wanted = np.maximum(last @ kernel, 0).reshape(3, 3, 4)
    explain = GradCAM(network, tokens=(3, 4))
    assert_allclose(explain(PICTURES, 1), wanted, rtol=1e-4, atol=1e-7)
    assert explain.layer_path == "last"


def test_rows_of_tokens_whose_length_is_known_only_when_it_runs():
    """As in many a Vision Transformer, which lays its patches out by reshape(…, (batch, -1, K))."""
    laid_out = layers.Lambda(lambda maps: tf.reshape(maps, (tf.shape(maps)[0], -1, 4)))
    start = [layers.Conv2D(4, 3, strides=3, activation="relu", name="patches"), laid_out]
    network = networks.functional(*start, layers.ReLU(), layers.GlobalAveragePooling1D(), layers.Dense(2))
    maps, kernel = network.get_layer("patches")(PICTURES).numpy(), network.layers[-1].kernel.numpy()
    wanted = np.maximum(maps @ kernel[:, 1] / 16, 0)
    assert_allclose(GradCAM(network, tokens=(4, 4))(PICTURES, 1), wanted, rtol=1e-4, atol=1e-7)
    for wrong in ((3, 4), (4, 5)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="tokens more than"):
            GradCAM(network, tokens=wrong)(PICTURES, 1)


def test_tokens_and_layers_that_do_not_fit_say_what_does():
    network = networks.vision_transformer(lambda tokens: ops.mean(tokens, axis=1))
    with pytest.raises(ValueError, match=r"map of tokens \[B, 15 to 17, K\] \(.* lengths \[12, 13\]\)"):
        GradCAM(network, tokens=(3, 5))(PICTURES)
    with pytest.raises(ValueError, match=r"'last' gives \['B', 13, 8\], .* tokens=\(rows, columns\)"):
        GradCAM(network, "last")(PICTURES)
    for wrong in (12, (12,), (3, 0), (3.0, 4.0), "34"):
        with pytest.raises(ValueError, match=r"tokens: .*; expected \(rows, columns\)"):
            GradCAM(network, tokens=wrong)
