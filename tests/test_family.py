"""The rest of the family against values by hand or published: gradient x input, integrals, noise, black boxes."""

from unittest import mock

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from helpers.blackbox import RISE, Occlusion, ScoreCAM
from helpers.gradcam import CAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from helpers.guided import Gradient
from helpers.integrated import GradientTimesInput, IntegratedGradients, Smooth
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
PICTURES = networks.images()


@pytest.fixture(scope="module")
def hand():
    return networks.hand_network()


@pytest.fixture(scope="module")
def model():
    return networks.make("sequential")


def linear(weights):
    """The network whose class 0 scores sum(weights * picture), its other class nothing."""
    network = networks.stack(layers.Flatten(), layers.Dense(2, use_bias=False), shape=(*weights.shape, 1))
    network.set_weights([np.stack([weights.ravel(), 0 * weights.ravel()], axis=1)])
    return network


HIRES = [[0, 4], [25, 25]]


@pytest.mark.parametrize(
    ("kind", "layer", "wanted"),
    [
        (HiResCAM, "relu1", HIRES),  # adds up to the score, 54
        (LayerCAM, "relu1", [[0, 4], [31, 40]]),
        (GradCAMPlusPlus, "relu1", [[0, 16 / 77], [3314 / 1771, 4835 / 1771]]),
        (XGradCAM, "conv1", [[-26.357, -10.414], [37.414, 53.357]]),
        (XGradCAM, "relu1", HIRES),
    ],
)
def test_class_activation_maps_by_hand(kind, layer, wanted, hand):
    explain = kind(hand, layer=layer)
    assert_allclose(explain(networks.HAND_PICTURE, 0)[0], wanted, rtol=5e-5)
    assert explain.layer_path == layer


def test_behind_global_average_pooling_they_are_cam():
    """All gradients of a channel are equal there; a map's mean is the logit without its bias, for CAM."""
    network = networks.stack(
        layers.Conv2D(4, 3, activation="relu", name="last"), layers.GlobalAveragePooling2D(), layers.Dense(3)
    )
    cam = CAM(network)(PICTURES, [0, 1, 2]) / 100  # a gradient is the dense weight over the number of places
    for kind in (XGradCAM, HiResCAM):
        assert_allclose(kind(network)(PICTURES, [0, 1, 2]), cam, rtol=1e-4, atol=1e-7)
    assert_allclose(GradCAM(network)(PICTURES, [0, 1, 2]), np.maximum(cam, 0), rtol=1e-4, atol=1e-7)


def test_score_cam_of_tokens_and_of_one_call():
    network = networks.vision_transformer(lambda tokens: keras.ops.mean(tokens, axis=1), further=0)
    reshaped, patches = network.layers[2].name, ScoreCAM(network, "patches")(PICTURES, 1)
    assert_allclose(ScoreCAM(network, reshaped, tokens=(3, 4))(PICTURES, 1), patches, rtol=1e-5)
    both = [PICTURES, PICTURES[::-1]]
    first, second = (ScoreCAM(networks.siamese(), "encoder", call=call, input=call)(both, 1) for call in range(2))
    assert first.shape == second.shape == (3, 10, 10) and not np.allclose(first, second)
    with pytest.raises(ValueError, match="'encoder' is in its call 1 not on the path to the score"):
        ScoreCAM(networks.siamese(), "encoder", call=1, input="left")(both, 1)


def test_black_boxes_say_that_they_cover_pictures():
    chain = [layers.Conv1D(4, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    for kind in (Occlusion, RISE, ScoreCAM):
        with pytest.raises(ValueError, match=r"shape \(2, 9, 3\); pictures .* are covered, for signals use GradCAM"):
            kind(networks.stack(*chain, shape=(9, 3)))(np.ones((2, 9, 3)))


def test_gradient_times_input_by_hand(hand):
    """Captum's LRP values, which are equal here (tests/attr/test_lrp.py)."""
    wanted = [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0]]
    assert_array_equal(np.squeeze(GradientTimesInput(hand)(networks.HAND_PICTURE, 0)), wanted)


def test_integrated_gradients_by_hand(hand):
    """Each window's ReLU opens at a known part of the way; all shares add up to the score, 54."""
    shares = np.zeros((4, 4))  # of each pixel: for how long of the way the windows that cover it are open
    for (row, column), open_for in {(0, 1): 2 / 27, (1, 0): 25 / 81, (1, 1): 5 / 18}.items():
        shares[row : row + 3, column : column + 3] += open_for
    found = IntegratedGradients(hand, steps=500)(networks.HAND_PICTURE, 0).squeeze()
    assert_allclose(found, shares * networks.HAND_PICTURE.reshape(4, 4), atol=0.03)
    assert_allclose(found[3], [100 / 27, 1235 / 162, 665 / 81, 25 / 6], atol=0.03)
    assert found.sum() == pytest.approx(54, abs=0.05)


def test_integrated_gradients_of_nested_relus():
    """ReLU(ReLU(x1) - 1 - ReLU(x2)) at (3, 1): (1.5, -0.5), from Captum's tests."""
    inputs, second = keras.Input((1, 1, 2)), layers.Dense(2, activation="relu")
    network = keras.Model(inputs, second(layers.ReLU()(layers.Flatten()(inputs))))
    second.set_weights([np.array([[1.0, 0], [-1, 0]]), np.array([-1.0, 0])])
    found = IntegratedGradients(network, steps=300)(np.array([[[[3.0, 1.0]]]]), 0)
    assert_allclose(found.squeeze(), [1.5, -0.5], atol=6e-3)


@pytest.mark.parametrize("baseline", [0.0, 0.5, PICTURES[::-1]])
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(model, baseline):
    shares = IntegratedGradients(model, steps=200, baseline=baseline)(PICTURES, [0, 1, 2])
    ends = np.broadcast_to(np.float32(baseline), PICTURES.shape), PICTURES
    before, after = (networks.logits(model, some).numpy()[range(3), [0, 1, 2]] for some in ends)
    assert_allclose(shares.sum(axis=(1, 2, 3)), after - before, rtol=0.05, atol=0.05)


def test_smoothgrad_tends_to_the_gradient_times_the_open_windows_probability(hand):
    """Noise of 4/3: a window of nine pixels has a deviation of 4, its ReLU opens from 50 or 75 on (normal law)."""
    sums = np.array([[45, 54], [81, 90]])
    first, second = (stats.norm.cdf((sums - threshold) / 4) for threshold in (50, 75))
    opened = first + np.array([[second[0, 0], 0], [0, 0]]) - np.array([[0, second[0, 1]], [second[1, 0], second[1, 1]]])
    wanted = np.zeros((4, 4))
    for (row, column), one in np.ndenumerate(opened):
        wanted[row : row + 3, column : column + 3] += one
    copies = np.repeat(networks.HAND_PICTURE, 200, axis=0)
    found = Smooth(Gradient(hand), samples=20, noise=(4 / 3) / 15)(copies, 0).mean(axis=0).squeeze()
    assert_allclose(found[0], [0.1056, 0.9470, 0.9470, 0.8413], atol=0.03)
    assert_allclose(found, wanted, atol=0.04)


def test_smooth_keeps_the_class_of_the_picture_without_noise(model):
    predicted = model.predict(PICTURES, verbose=0).argmax(axis=-1)
    given = {"samples": 3, "noise": 2.0}
    found, told = (Smooth(GradCAM(model), **given)(PICTURES, classes) for classes in (None, predicted))
    assert_array_equal(found, told)


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


def test_rise_tells_a_linear_score_pixel_by_pixel():
    """The mean of f(x * M) * M over E[M] is a constant plus the pixel's own part, smeared by the grid's cells."""
    weights = np.zeros((8, 8))
    weights[2, 5] = 1
    found = RISE(linear(weights), masks=4000, cells=8, score=lambda outputs: outputs[:, 0])(np.ones((1, 8, 8, 1)))[0]
    assert np.unravel_index(found.argmax(), found.shape) == (2, 5)
    assert found[2, 5] == pytest.approx(1, abs=0.05)  # E[M M] / E[M] = 1 where a mask is 0 or 1 there
    assert found[6, 1] == pytest.approx(0.5, abs=0.05)  # E[M] where it is independent of the mask at (2, 5)


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
    own = kind(model, score=lambda outputs: tf.math.log(outputs[:, 1]), **FAMILY[kind])
    assert own(PICTURES).shape == found.shape
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
