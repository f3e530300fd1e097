"""Box overlap, average drop, ROAD and sensitivity: by hand, on linear models, and by what may not matter."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import faithfulness
from helpers.faithfulness.imputation import imputed

RNG = np.random.default_rng(0)


def summed(images):
    """A network whose class 0 has the sum of the picture as its probability."""
    total = np.sum(images, axis=(1, 2, 3))
    return np.stack([total, 1 - total], axis=1)


def masks(*boxes, size=8):
    """bool [B, size, size], True in the boxes (top, bottom, left, right)."""
    found = np.zeros((len(boxes), size, size), bool)
    for mask, (top, bottom, left, right) in zip(found, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return found


def test_box_overlap_by_hand():
    """The larger segment counts, not the brighter one; what is below 15 % of the maximum does not."""
    heat = np.zeros((1, 8, 8))
    heat[0, 1:3, 1:4], heat[0, 6, 6], heat[0, 3, 1:4] = 1.0, 2.0, 0.29
    assert faithfulness.box_overlap(heat, masks((1, 4, 1, 4))) == pytest.approx(6 / 9)
    heat[0, 3, 1:4] = 0.3
    assert faithfulness.box_overlap(heat, masks((1, 4, 1, 4))) == 1
    assert faithfulness.box_overlap(heat, masks((2, 6, 2, 6))) == pytest.approx(4 / (9 + 16 - 4))
    assert faithfulness.box_overlap(heat, masks((1, 4, 1, 4)), threshold=0.6) == 0  # the bright point alone


def test_box_overlap_takes_the_box_of_any_shape_and_touching_corners_apart():
    diagonal = np.eye(8)[None]
    assert faithfulness.box_overlap(diagonal, masks((0, 8, 0, 8))) == pytest.approx(1 / 64)
    ring = masks((1, 7, 1, 7)) & ~masks((2, 6, 2, 6))
    assert faithfulness.box_overlap(ring.astype(float), masks((1, 7, 1, 7))) == 1
    found = faithfulness.box_overlap(np.zeros((2, 8, 8)), masks((0, 4, 0, 4), (0, 0, 0, 0)))
    assert found[0] == 0 and np.isnan(found[1])


def test_drop_and_increase_by_hand():
    """torch-cam's tests/test_metrics.py: of a sum of 1.0 the upper left 0.4 is left."""
    images = np.array([[[[0.4], [0.3]], [[0.2], [0.1]]]])
    drop, increase = faithfulness.drop_and_increase(summed, images, np.array([[[1.0, 0], [0, 0]]]), 0)
    assert_allclose(drop, 0.6, rtol=1e-6)
    assert_array_equal(increase, 0)
    drop, increase = faithfulness.drop_and_increase(lambda some: summed(0.3 - some / 4), images, np.ones((1, 2, 2)), 0)
    assert_array_equal([drop, increase], [[0], [0]])  # all is shown: nothing changes
    darker = faithfulness.drop_and_increase(lambda some: summed(0.3 - some / 4), images, np.eye(2)[None], 0)
    assert_array_equal(darker, [[0], [1]])  # covering raises this one
    drop, _ = faithfulness.drop_and_increase(summed, images, np.array([[[4.0, 2], [0, 0]]]), 0)
    assert_allclose(drop, 0.45, rtol=1e-6)  # scaled to [0, 1], the map leaves 0.4 + 0.3 / 2
    assert_allclose(faithfulness.drop_and_increase(summed, images, np.array([[[1.0, 0], [0, 0]]]), None)[0], 0.6)


def test_an_imputed_pixel_is_the_weighted_mean_of_its_neighbours():
    image, weights = RNG.random((6, 7, 3)), np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]])
    middle, corner = np.zeros((2, 6, 7), bool)
    middle[2, 3] = corner[0, 0] = True
    wanted = (image[1:4, 2:5] * weights[..., None]).sum((0, 1)) / 12
    assert_allclose(imputed(image, middle)[2, 3], wanted, rtol=1e-6)
    at_edge = (2 * image[0, 1] + 2 * image[1, 0] + image[1, 1]) / 5
    assert_allclose(imputed(image, corner)[0, 0], at_edge, rtol=1e-6)
    assert_array_equal(imputed(image, middle)[~middle], np.float32(image[~middle]))


def test_several_imputed_pixels_solve_their_equations_and_an_even_slope_comes_back_whole():
    slope = np.add.outer(np.arange(9.0), 2 * np.arange(9.0))[..., None]
    inside = masks((3, 6, 2, 7), size=9)[0]
    assert_allclose(imputed(slope, inside), slope, atol=1e-5)
    image, removed = RNG.random((8, 8, 2)), RNG.random((8, 8)) < 0.7
    solved = imputed(image, removed)
    for place in np.flatnonzero(removed):  # guessed again from the others, each stays what it is
        assert_allclose(imputed(solved, np.arange(64).reshape(8, 8) == place), solved, atol=1e-5)
    noisy = imputed(image, removed, np.random.default_rng(0)) - solved
    assert 0.005 < noisy[removed].std() < 0.02 and not noisy[~removed].any()
    with pytest.raises(ValueError, match="every pixel"):
        imputed(image, np.ones((8, 8), bool))
    assert_array_equal(imputed(image, np.zeros((8, 8), bool)), np.float32(image))


def test_road_removes_the_most_salient_first():
    """One bright pixel in the dark: found first, its neighbours' guess leaves nothing of it."""
    images, places = np.zeros((2, 10, 10, 1)), [(2, 3), (7, 7)]
    for image, place in zip(images, places, strict=True):
        image[place] = 0.4
    good, bad = images[..., 0], 1 - images[..., 0]
    curves = [faithfulness.road_curve(summed, images, some, 0, fractions=(0.01, 0.5, 0.98)) for some in (good, bad)]
    assert curves[0].shape == (2, 3)
    assert_allclose(curves[0][:, 0], 0.01 * np.random.default_rng(0).standard_normal(2), rtol=1e-5)  # noise is left
    assert_allclose(curves[1][:, 0], 0.4, atol=0.05)
    assert (curves[1][:, 1] > 0.5).all()  # its neighbours are guessed from it
    predicted = faithfulness.road_curve(summed, images, good, None, fractions=(0.01,))
    assert_allclose(predicted[:, 0], 1, atol=0.05)  # class 1 was likelier


def test_road_begins_with_the_whole_picture_and_wants_one_map_for_each():
    images = RNG.uniform(size=(2, 8, 8, 3)).astype(np.float32) / 200
    assert_allclose(faithfulness.road_curve(summed, images, images, 0, fractions=(0,))[:, 0], summed(images)[:, 0])
    for score in (faithfulness.road_curve, faithfulness.drop_and_increase):
        with pytest.raises(ValueError, match="maps: 1 for 2 pictures; expected one for each"):
            score(summed, images, images[:1], 0)


def test_sensitivity_of_a_linear_map_is_the_length_of_the_noise():
    images = RNG.uniform(0.5, 1, (3, 6, 6, 1)).astype(np.float32)
    found = faithfulness.sensitivity(lambda some, classes: some[..., 0], images, 0, radius=0.1, samples=40)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (40, *images.shape)).reshape(40, 3, -1)
    length = np.linalg.norm(images.reshape(3, -1), axis=1)
    assert_allclose(found, np.linalg.norm(noise, axis=-1).max(axis=0) / length, rtol=1e-4)
    doubled = faithfulness.sensitivity(lambda some, classes: 5 * some[..., 0], images, 0, radius=0.1, samples=40)
    assert_allclose(doubled, found, rtol=1e-5)  # the map's scale does not matter
    fixed = faithfulness.sensitivity(lambda some, classes: np.ones((len(some), 6, 6)), images, 0)
    empty = faithfulness.sensitivity(lambda some, classes: np.zeros((len(some), 6, 6)), images, 0)
    assert_array_equal(fixed, 0)
    assert np.isnan(empty).all()
    with pytest.raises(ValueError, match="classes: expected an int or one for each picture"):
        faithfulness.sensitivity(lambda some, classes: some, images, None)
