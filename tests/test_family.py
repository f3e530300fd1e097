"""The rest of the family against values by hand or published: gradient x input, integrals, noise, black boxes."""

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

PICTURES = networks.images()

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


def test_gradient_times_input_of_float64():
    inputs = keras.Input((2, 2, 1), dtype="float64")
    model = keras.Model(inputs, layers.Dense(1, dtype="float64", kernel_initializer="ones")(layers.Flatten()(inputs)))
    picture = np.arange(4.0).reshape(1, 2, 2, 1)
    assert_allclose(GradientTimesInput(model, score=lambda outputs: outputs[:, 0])(picture), picture)


def test_one_of_two_inputs_is_chosen_though_both_are_given_the_same_tensor():
    left, right = keras.Input((2, 2, 1), name="left"), keras.Input((2, 2, 1), name="right")
    weigh = [layers.Dense(2, use_bias=False, kernel_initializer=keras.initializers.Constant(n)) for n in (1, 10)]
    model = keras.Model([left, right], weigh[0](layers.Flatten()(left)) + weigh[1](layers.Flatten()(right)))
    picture = tf.reshape(tf.range(4.0), (1, 2, 2, 1))
    for name, factor in (("left", 1), ("right", 10)):
        found = IntegratedGradients(model, steps=1, input=name)([picture, picture], 0)
        assert_allclose(found, factor * picture, rtol=1e-5)


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


def test_few_pictures_are_asked_about_in_several_copies_at_once():
    """That changes nothing: twenty pictures are asked copy by copy, each alone in 16 copies, with its question."""
    picture, question = keras.Input((12, 12, 3)), keras.Input((1,))
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(picture))
    model = keras.Model([picture, question], layers.Dense(3)(layers.Multiply()([seen, question])))
    images, asked = np.repeat(PICTURES, 7, axis=0)[:20], np.arange(20, dtype=np.float32).reshape(-1, 1)
    explain, classes = IntegratedGradients(model), np.arange(20) % 3
    together = explain([images, asked], classes)
    alone = [explain([images[i : i + 1], asked[i : i + 1]], classes[i : i + 1])[0] for i in range(20)]
    assert_allclose(together, alone, rtol=1e-4, atol=1e-6 * np.abs(together).max())
    few, smooth, rng = [images[6:8], asked[6:8]], Smooth(Gradient(model), samples=20), np.random.default_rng(0)
    scale = 0.15 * np.ptp(few[0], axis=(1, 2, 3), keepdims=True)
    noisy = [few[0] + scale * rng.standard_normal(few[0].shape, np.float32) for _ in range(20)]
    by_hand = np.mean([Gradient(model)([some, few[1]], [0, 1]) for some in noisy], axis=0)
    assert_allclose(smooth(few, [0, 1]), by_hand, rtol=1e-4, atol=1e-6 * np.abs(by_hand).max())
    for method in (explain, smooth):
        with pytest.raises(ValueError, match="2 ints for 2 pictures"):
            method(few, [0, 1, 2])
