"""Scores on maps whose value is known, curves in closed form, Quantus' numbers."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

from helpers import faithfulness
from helpers.maps import resize

QUANTUS = np.load(Path(__file__).with_name("quantus.npz"))
CURVES = (faithfulness.deletion_curve, faithfulness.insertion_curve)


def pictures(rng, count, size=5):
    return rng.uniform(size=(count, size, size, 3)).astype(np.float32)


def at(places, size=4):
    """One map [1, size, size] of zeros but for {(row, column): value}."""
    heat = np.zeros((1, size, size))
    for (row, column), value in places.items():
        heat[0, row, column] = value
    return heat


MASK = np.pad(np.ones((1, 2, 2), bool), ((0, 0), (1, 1), (1, 1)))  # 4 of 16 pixels
EMPTY, EVEN, GREY = np.zeros((1, 4, 4), bool), np.ones((1, 4, 4)), np.full((2, 5, 5, 3), 0.5, np.float32)
KNOWN = "predict gives the classes 0 to 1"


def thirds(images):
    """A `predict` of two classes."""
    return np.tile([[0.3, 0.7]], (len(images), 1))


def test_saliency_is_the_magnitude_summed_over_the_channels_up_sampled_with_half_pixel_centres():
    assert_array_equal(faithfulness.saliency([[[[1.0, -2.0], [0.0, 3.0]]]]), [[[3.0, 3.0]]])
    assert_array_equal(faithfulness.saliency([[[1.0, -2.0]]]), [[[1.0, 2.0]]])
    assert_allclose(faithfulness.saliency([[[0.0, -4.0]]], (1, 4)), [[[0, 1, 3, 4]]])


@pytest.mark.parametrize("scale", [1e-200, 1e-50, 1e40, 1e200])
def test_enlarging_a_map_keeps_its_scale(rng, scale):
    maps = rng.uniform(size=(2, 3, 4))
    small = faithfulness.saliency(maps, [12, 8])
    assert_array_equal(small, resize(maps, (12, 8)).astype(np.float64))  # not a digit is lost
    assert_allclose(faithfulness.saliency(scale * maps, (12, 8)), scale * small, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments", "complaint"),
    [
        (faithfulness.saliency, (np.zeros((4, 4)),), r"\[B, h, w\]"),
        (faithfulness.saliency, ([[[np.nan]]],), "NaN"),
        (faithfulness.saliency, ([[[np.inf]]],), "infinite"),
        (faithfulness.energy_inside_mask, (EVEN, EVEN), "bool"),
        (faithfulness.energy_inside_mask, (EVEN, MASK[0]), "bool"),
        (faithfulness.energy_inside_mask, (EVEN, np.ones((2, 4, 4), bool)), "2 for 1 maps"),
        (faithfulness.times_chance, (np.ones((2, 4, 4)), np.concatenate([MASK, EMPTY])), "some are empty"),
        *((curve, (thirds, GREY, np.ones((1, 5, 5)), 0, GREY), "one map per picture") for curve in CURVES),
        *((curve, (thirds, GREY, np.ones((2, 5, 5)), 0, GREY[:, :4]), "the same") for curve in CURVES),
        *((curve, (thirds, GREY, np.ones((2, 5, 5)), 0, GREY, 1), "at least 2") for curve in CURVES),
        *((curve, (thirds, GREY, GREY, some, GREY), KNOWN) for curve in CURVES for some in (-1, 2, [0, 2])),
        (faithfulness.model_randomisation, (None, None, GREY, None), "those predicted before"),
        *((faithfulness.bootstrap_interval, (some,), "one number per") for some in ([1.0, np.nan], [], [[[1.0]]])),
        (faithfulness.explain_all, (thirds, {"pictures": GREY[:0], "words": GREY[:0]}), "at least one picture"),
    ],
)
def test_what_does_not_fit_is_refused(function, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        function(*arguments)


FIVE_AWAY = at({(3, 4): 1}, 20), at({(0, 0): 1}, 20) > 0  # pixels from the mask


@pytest.mark.parametrize(
    ("heat", "mask", "tolerance", "hit", "energy"),
    [
        (1.0 * MASK, MASK, 0, 1, 1),
        (1.0 * ~MASK, MASK, 0, 0, 0),
        (EVEN, MASK, 0, 0.25, 0.25),
        (0 * EVEN, MASK, 0, 0.25, 0.25),
        (at({(0, 0): 7, (1, 1): 7, (2, 2): 7}), MASK, 0, 2 / 3, 2 / 3),  # tied maxima have their expected value
        (at({(1, 1): -3, (0, 0): 1}), MASK, 0, 1, 0.75),  # the magnitude counts
        (at({(0, 0): 1}), MASK, 0, 0, 0),
        *((*FIVE_AWAY, tolerance, hit, 0) for tolerance, hit in ((0, 0), (4.9, 0), (5, 1))),
        *((EVEN, EMPTY, tolerance, np.nan, np.nan) for tolerance in (0, 3)),
    ],
)
def test_known_maps(heat, mask, tolerance, hit, energy):
    assert_array_equal(faithfulness.pointing_game(heat, mask, tolerance), [hit])
    assert_array_equal(faithfulness.energy_inside_mask(heat, mask), [energy])
    assert_array_equal(faithfulness.energy_over_chance(heat, mask), [energy / mask.mean()])


def test_low_resolution_maps_are_scored_in_the_picture():
    heat, mask = at({(1, 1): 1}, 2), at({(row, column): 1 for row in (6, 7) for column in (6, 7)}, 8) > 0
    assert faithfulness.pointing_game(heat, mask) == 1
    wanted = resize(heat, (8, 8))
    assert faithfulness.energy_inside_mask(heat, mask) == pytest.approx(wanted[mask].sum() / wanted.sum())


def test_times_chance_by_hand():
    masks = np.zeros((3, 2, 2), bool)
    masks[:, 0, 0] = True  # a quarter of each picture
    maps = np.array([[[3, 1], [0, 0]], [[0, 0], [0, 1]], [[1, 1], [2, 0]]], float)
    times = faithfulness.times_chance(maps, masks)
    assert times["hits"] == pytest.approx((1 / 3) / 0.25)  # one peak of three is on its mask
    assert times["energy"] == pytest.approx(1)  # 3/4, 0 and 1/4 of the energy: 3, 0 and 1 times chance
    masks, maps = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 0]]], bool), np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]])
    assert faithfulness.times_chance(maps, masks)["hits"] == pytest.approx(0.5 / 0.375)  # of the masks' mean share


def test_quantus_gives_the_same_scores():
    maps, masks = QUANTUS["maps"], QUANTUS["masks"]
    assert_allclose(faithfulness.pointing_game(maps, masks), QUANTUS["pointing_game"], atol=1e-6)
    assert_allclose(faithfulness.energy_inside_mask(maps, masks), QUANTUS["relevance_mass"], atol=1e-6)
    original, *randomised = (faithfulness.saliency(maps) for maps in QUANTUS["gradients"])
    alike = [faithfulness.spearman(original, maps) for maps in randomised]
    assert_allclose(alike, QUANTUS["randomisation"], atol=1e-6)


WEIGHTS = np.random.default_rng(5).normal(size=(5 * 5 * 3,)).astype(np.float32)


def linear(images):
    """[b, 2]: the inner product with WEIGHTS, and minus that."""
    score = images.reshape(len(images), -1) @ WEIGHTS
    return np.stack([score, -score], axis=1)


@pytest.mark.parametrize("steps", [2, 4, 10, 25])
def test_a_linear_model_has_the_curves_of_its_cumulated_contributions_and_no_order_a_better_area(rng, steps):
    images = pictures(rng, 3)
    grey = faithfulness.mean_colour(images)
    parts = ((images - grey) * WEIGHTS.reshape(5, 5, 3)).sum(axis=-1)  # what each pixel adds to the first score
    largest = np.cumsum(-np.sort(-parts.reshape(3, 25), axis=1), axis=1)
    fractions = (np.arange(steps + 1) / steps) ** 2
    sums = np.pad(largest, ((0, 0), (1, 0)))[:, np.round(25 * fractions).astype(int)]
    closed_forms = linear(images)[:, :1] - sums, linear(grey)[:, :1] + sums
    for curve, wanted, sign in zip(CURVES, closed_forms, (1, -1), strict=True):

        def found(maps, curve=curve):
            return curve(linear, images, maps, 0, grey, steps)

        places, scores = found(parts - parts.min() + 1)
        assert_allclose(places, fractions)
        assert_allclose(scores, wanted, atol=1e-5)
        others = [faithfulness.area(*found(rng.uniform(size=parts.shape))) for _ in range(20)]
        assert (sign * (others - faithfulness.area(places, scores)) > 0).all()


@pytest.mark.parametrize("curve", CURVES)
def test_areas_of_the_flat_curves_of_a_constant_model_and_of_a_straight_line(rng, curve):
    fractions, scores = curve(thirds, pictures(rng, 3), rng.uniform(size=(3, 5, 5)), 1, pictures(rng, 3))
    assert_array_equal(scores, np.full((3, 11), 0.7))
    assert_allclose(faithfulness.area(fractions, scores), 0.7)
    fractions = np.array([0, 0.1, 0.5, 1])
    assert_allclose(faithfulness.area(fractions, np.stack([1 - fractions, fractions * 0 + 2])), [0.5, 2])


@pytest.mark.parametrize("curve", CURVES)
def test_classes_and_ends_of_curves(rng, curve):
    images, maps = pictures(rng, 4) - 0.5, rng.uniform(size=(4, 5, 5))
    grey, predicted = faithfulness.mean_colour(images), linear(images).argmax(axis=1)

    def scores(classes, **options):
        return curve(linear, images, maps, classes, grey, **options)[1]

    asked = scores(predicted)
    assert set(predicted) == {0, 1}
    assert_array_equal(scores(None), asked)
    assert_array_equal(scores(1 - predicted), -asked)
    assert_allclose(scores(predicted, ends=[linear(images), linear(grey)]), asked, rtol=1e-5)
    ends = np.stack([faithfulness.predict_all(linear, some) for some in (images, grey)])  # one array
    assert_array_equal(scores(predicted, ends=ends), asked)
    counted = Mock(wraps=linear)
    curve(counted, images, maps, predicted, grey, ends=ends)
    assert sum(len(call.args[0]) for call in counted.call_args_list) == 9 * len(images)  # neither end is asked for


def test_curves_are_batched_and_batches_do_not_matter(rng):
    images, maps, predict = pictures(rng, 3), rng.uniform(size=(3, 5, 5)), Mock(wraps=linear)
    grey = faithfulness.mean_colour(images)
    curves = [faithfulness.deletion_curve(predict, images, maps, 0, grey, batch_size=size)[1] for size in (7, 64)]
    assert_allclose(*curves, rtol=1e-5)
    assert [len(call.args[0]) for call in predict.call_args_list] == [7, 7, 7, 6, 3, 3, 27, 3, 3]


def test_equal_values_are_deleted_in_the_same_scattered_order_for_every_map():
    images, flat = np.zeros((2, 20, 20, 1), np.float32), np.full((2, 20, 20), [[[0.0]], [[3.0]]])

    def counts(rows):
        return faithfulness.deletion_curve(lambda some: some[:, rows].sum((1, 2)), images, flat, 0, images + 1)

    fractions, everywhere = counts(slice(None))
    assert_array_equal(everywhere, np.tile(np.round(400 * fractions), (2, 1)))
    upper = counts(slice(10))[1]
    assert_array_equal(upper[0], upper[1])
    assert (np.abs(2 * upper - everywhere) <= 4 * np.sqrt(everywhere)).all()


def test_curves_of_a_small_map_are_those_of_the_up_sampled_one(rng):
    images, small = pictures(rng, 2), rng.uniform(size=(2, 3, 3)).astype(np.float32)
    both = small, resize(small, (5, 5))
    assert_array_equal(*(faithfulness.insertion_curve(linear, images, maps, 0, 0 * images)[1] for maps in both))


def test_baselines(rng):
    images = pictures(rng, 2, 32)
    assert_allclose(faithfulness.mean_colour(images)[1, 3, 4], images[1].mean((0, 1)), rtol=1e-6)
    images[0, ..., 1], images[1] = 0, 0.25
    soft = faithfulness.blurred(images)
    assert (soft[0, ..., 1] == 0).all() and np.ptp(soft[0, ..., 0]) < 0.5 * np.ptp(images[0, ..., 0])
    assert_allclose(soft[1], 0.25, rtol=1e-6)
    assert_allclose(faithfulness.blurred(images, sigma=0), images)
    assert_allclose(faithfulness.blurred(images, sigma=2), soft, rtol=1e-6)  # 32 / 16
    point = np.zeros((1, 32, 48, 1), np.float32)
    point[0, 16, 16] = 1
    soft = faithfulness.blurred(point)[0, ..., 0]  # the shorter side counts; a Gaussian falls to exp(-1/2) in one sigma
    assert_allclose(soft[16, 18] / soft[16, 16], np.exp(-0.5), rtol=1e-5)


def test_spearman_is_scipys_and_that_of_constant_maps_0_or_1(rng):
    first, second = rng.integers(0, 9, (2, 5, 7, 6))
    wanted = [scipy.stats.spearmanr(one.ravel(), other.ravel())[0] for one, other in zip(first, second, strict=True)]
    assert_allclose(faithfulness.spearman(first, second), wanted, rtol=1e-12)
    heat = rng.uniform(size=(1, 8, 8))
    for other, expected in ((heat**3, 1), (-heat, -1), (heat * 0, 0)):
        assert faithfulness.spearman(heat, other) == pytest.approx(expected)
    assert faithfulness.spearman(heat * 0, heat * 0 + 2) == 1
