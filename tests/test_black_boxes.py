"""Occlusion, RISE and Score-CAM by hand, and what the whole family has in common."""

from unittest import mock

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose
from test_family import PICTURES

from helpers.blackbox import RISE, Occlusion, ScoreCAM
from helpers.gradcam import GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from helpers.integrated import GradientTimesInput, IntegratedGradients
from helpers.maps import resize
from helpers.tracing.scores import Probabilities, Scores

CAMS = [GradCAMPlusPlus, XGradCAM, HiResCAM, LayerCAM]
FAMILY = {
    **{kind: {} for kind in CAMS},
    GradientTimesInput: {},
    IntegratedGradients: {"steps": 3},
    Occlusion: {"size": 4},
    RISE: {"masks": 20},
    ScoreCAM: {},
}


def linear(weights):
    """The network whose class 0 scores sum(weights [H, W] or [H, W, C] * picture), its other class nothing."""
    shape = weights.shape if weights.ndim == 3 else (*weights.shape, 1)
    network = networks.stack(layers.Flatten(), layers.Dense(2, use_bias=False), shape=shape)
    network.set_weights([np.stack([weights.ravel(), 0 * weights.ravel()], axis=1)])
    return network


def test_occlusion_by_hand(hand):
    """Captum's tests/attr/test_occlusion.py: overlapping windows of ones, averaged."""
    found = Occlusion(hand, size=(2, 3), stride=(2, 1), fill=1)(networks.HAND_PICTURE + 1, 0).squeeze()
    assert_allclose(found, [[17] * 4, [17] * 4, *[[64, 65.5, 65.5, 67]] * 2], rtol=1e-6)


def test_occlusion_of_a_linear_network_against_published_sums():
    """Three times the sum, two bright pixels: saliency/core/occlusion_test.py, which adds up what we average."""
    picture, windows = np.zeros((1, 5, 5, 1), np.float32), np.array([1, 2, 3, 2, 1])
    picture[0, [1, 3], [1, 3]] = 1
    found = Occlusion(linear(np.full((5, 5), 3.0)), size=3, stride=1, fill=0)(picture, 0).squeeze()
    wanted = [[3, 6, 6, 3, 0], [6, 15, 18, 12, 3], [6, 18, 24, 18, 6], [3, 12, 18, 15, 6], [0, 3, 6, 6, 3]]
    assert_allclose(found * np.outer(windows, windows), wanted, rtol=1e-5)


def test_occlusion_of_single_pixels_is_each_ones_part_of_a_linear_score():
    weights = np.random.default_rng(0).normal(size=(5, 7))
    picture = np.random.default_rng(1).uniform(size=(1, 5, 7, 1)).astype(np.float32)
    found = Occlusion(linear(weights), size=1, stride=1, fill=0, batch_size=4)(picture, 0)[0]
    assert_allclose(found, weights * picture[0, ..., 0], rtol=1e-4, atol=1e-5)
    filled = Occlusion(linear(weights), size=1, stride=1)(picture, 0)[0]  # with the picture's mean colour
    assert_allclose(filled, weights * (picture[0, ..., 0] - picture.mean()), rtol=1e-4, atol=1e-5)
    colours = np.random.default_rng(2).uniform(size=(1, 5, 7, 3)).astype(np.float32)
    filled = Occlusion(linear(np.ones((5, 7, 3))), size=1, stride=1)(colours, 0)[0]
    assert_allclose(filled, (colours[0] - colours.mean(axis=(0, 1, 2))).sum(axis=-1), rtol=1e-4, atol=1e-5)


def test_windows_of_occlusion_may_reach_over_the_edge_and_lie_half_a_window_apart():
    found = Occlusion(linear(np.ones((5, 5))), size=2, stride=2, fill=0)(np.ones((1, 5, 5, 1)), 0)[0]
    assert_allclose(found, np.outer([2, 2, 2, 2, 1], [2, 2, 2, 2, 1]), rtol=1e-5)
    explain = Occlusion(linear(np.ones((32, 48))), batch_size=1000)
    explain.scores = mock.Mock(
        wraps=explain.scores, pixels=explain.scores.pixels, with_pixels=explain.scores.with_pixels
    )
    explain(np.ones((1, 32, 48, 1), np.float32), 0)  # windows of 4 x 4, every 2 pixels
    assert [len(call.args[0]) for call in explain.scores.call_args_list] == [1, 15 * 23]


def test_rise_tells_a_linear_score_pixel_by_pixel():
    """The mean of f(x * M) * M over E[M] is a constant plus the pixel's own part, smeared by the grid's cells."""
    weights = np.zeros((8, 8))
    weights[2, 5] = 1
    found = RISE(linear(weights), masks=4000, cells=8, score=lambda outputs: outputs[:, 0])(np.ones((1, 8, 8, 1)))[0]
    assert np.unravel_index(found.argmax(), found.shape) == (2, 5)
    assert found[2, 5] == pytest.approx(1, abs=0.05)  # E[M M] / E[M] = 1 where a mask is 0 or 1 there
    assert found[6, 1] == pytest.approx(0.5, abs=0.05)  # E[M] where it is independent of the mask at (2, 5)


def test_rise_weighs_its_masks_with_probabilities(model):
    explain = RISE(model, masks=20, keep=0.3)
    masks = explain._masks(np.random.default_rng(0), 20, (12, 12))
    probabilities = model.predict(masks[..., None] * PICTURES[0], verbose=0)[:, 1]
    assert_allclose(explain(PICTURES[:1], 1)[0], np.tensordot(probabilities, masks, 1) / (20 * 0.3), rtol=1e-4)
    many = RISE(model, cells=2, keep=0.3)._masks(np.random.default_rng(1), 4000, (12, 12))
    assert_allclose(many.mean(axis=0), 0.3, atol=0.04)
    assert np.unique(many[:, 0, 0].round(3)).size > 10  # shifted at random, between the cells' middles


def test_score_cam_from_its_algorithm(model):
    feature_map = keras.Model(model.inputs[0], model.get_layer("relu_b").output)(PICTURES).numpy()
    found = ScoreCAM(model)(PICTURES, [0, 1, 2])
    for number, channels in enumerate(np.moveaxis(feature_map, -1, 1)):
        large = resize(channels, (12, 12))
        spans = np.ptp(large, axis=(1, 2))[:, None, None]
        masks = (large - large.min(axis=(1, 2), keepdims=True)) / np.where(spans, spans, 1)
        scores = networks.logits(model, masks[..., None] * PICTURES[number])[:, number]
        wanted = np.maximum(np.tensordot(tf.nn.softmax(scores), channels, axes=1), 0)
        assert_allclose(found[number], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Occlusion, ScoreCAM])
def test_black_boxes_ask_for_no_gradient(kind, model):
    rounded = kind(model, score=lambda outputs: tf.round(1000 * outputs[:, 1]), **FAMILY[kind])(PICTURES)
    assert np.isfinite(rounded).all() and rounded.any()


@pytest.mark.parametrize("kind", FAMILY)
def test_the_contract(kind, model):
    """A batch gives what single pictures give; None is the predicted class; float32; own score; the model unchanged."""
    explain, weights = kind(model, **FAMILY[kind]), model.get_weights()
    found = explain(PICTURES, [0, 1, 2])
    assert found.dtype == np.float32 and found.shape[0] == 3 and np.isfinite(found).all()
    for number in range(3):
        assert_allclose(explain(PICTURES[[number]], number)[0], found[number], rtol=1e-3, atol=1e-5)
    predicted = model.predict(PICTURES, verbose=0).argmax(axis=-1)
    assert_allclose(explain(PICTURES), explain(PICTURES, predicted), rtol=1e-6)
    own, twice = (kind(model, score=lambda found, n=n: n * tf.math.log(found[:, 1]), **FAMILY[kind]) for n in (1, 2))
    assert own(PICTURES).shape == found.shape
    if kind not in (GradCAMPlusPlus, ScoreCAM):  # whose weights are not linear in the score
        assert_allclose(twice(PICTURES), 2 * own(PICTURES), rtol=1e-3, atol=1e-5)
    for classes, problem in [(7, "this model's are 0 to 2"), ([0, 1], "an int, 3 ints for 3 pictures")]:
        with pytest.raises(ValueError, match=problem):
            explain(PICTURES, classes)
    with pytest.raises(ValueError, match="score of its own"):
        own(PICTURES, 1)
    assert all(map(np.array_equal, weights, model.get_weights()))


@pytest.mark.parametrize("kind", FAMILY)
def test_further_inputs_stay_with_their_picture(kind):
    pictures, factor = keras.Input((6, 6, 1)), keras.Input((2,))
    seen = layers.Flatten()(layers.Conv2D(2, 3, activation="relu")(pictures))
    network = keras.Model([pictures, factor], layers.Multiply()([layers.Dense(2)(seen), factor]))
    images, factors = networks.images(2, 6, 1), np.array([[1.0, 1], [3, 3]])
    explain = kind(network, score=lambda outputs: outputs[:, 0], **FAMILY[kind])
    single = [explain([images[[i]], factors[[i]]])[0] for i in range(2)]
    assert_allclose(explain([images, factors]), single, rtol=1e-4, atol=1e-5)


def test_scores_and_probabilities(model):
    assert_allclose(Scores(model)(PICTURES), networks.logits(model, PICTURES), rtol=1e-5, atol=1e-6)
    assert_allclose(Probabilities(model)(PICTURES), model.predict(PICTURES, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "count"),
    [(Occlusion, {"size": 4, "stride": 2}, 25), (RISE, {"masks": 50}, 50), (ScoreCAM, {}, 5)],
)
def test_as_many_passes_as_needed_by_definition(kind, options, count, model):
    """And one for the picture itself, for Score-CAM one more for its feature map."""
    explain, seen = kind(model, batch_size=8, **options), []
    scores = explain.scores
    counted = mock.Mock(wraps=scores, side_effect=lambda images, *_: seen.append(len(images)) or mock.DEFAULT)
    explain.scores = counted
    explain(PICTURES[:1], 0)
    assert sum(seen) == count + 1 and max(seen) <= 8


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda model: IntegratedGradients(model, steps=0), "steps: 0"),
        (lambda model: Occlusion(model, size=40)(PICTURES), "the window no larger than"),
        (lambda model: Occlusion(model, stride=0)(PICTURES), "at least 1"),
    ],
)
def test_bad_options_are_named(make, problem, model):
    with pytest.raises(ValueError, match=problem):
        make(model)
