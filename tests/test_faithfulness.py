"""Scores on maps whose value is known, curves in closed form, Quantus' numbers."""

from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import faithfulness, gcm, gradcam, guided
from helpers.faithfulness import measuring

WHOLE_MAPS = arrays(np.float64, (2, 6, 6), elements=st.integers(0, 50).map(float))
SCALES = st.floats(1e-20, 1e20)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def quantus():
    return np.load(Path(__file__).with_name("quantus.npz"))


@pytest.fixture
def cnn():
    """A small network ending in global average pooling, for which CAM is defined."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.Conv2D(6, 3, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, bias_initializer="ones", activation="softmax", name="top"),
        ]
    )


def one_mask():
    """A mask of 4 of 16 pixels, [1, 4, 4]."""
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 1:3, 1:3] = True
    return mask


# saliency


def test_saliency_is_the_magnitude_summed_over_the_channels():
    np.testing.assert_array_equal(faithfulness.saliency([[[[1.0, -2.0], [0.0, 3.0]]]]), [[[3.0, 3.0]]])
    np.testing.assert_array_equal(faithfulness.saliency([[[1.0, -2.0]]]), [[[1.0, 2.0]]])


def test_saliency_is_up_sampled_with_half_pixel_centres():
    np.testing.assert_allclose(faithfulness.saliency([[[0.0, -4.0]]], (1, 4)), [[[0, 1, 3, 4]]])


@pytest.mark.parametrize(
    ("maps", "complaint"), [(np.zeros((4, 4)), r"\[B, h, w\]"), ([[[np.nan]]], "NaN"), ([[[np.inf]]], "infinite")]
)
def test_saliency_refuses(maps, complaint):
    with pytest.raises(ValueError, match=complaint):
        faithfulness.saliency(maps)


# pointing game and energy: perfect, inverse, uniform, all zero, ties


@pytest.mark.parametrize(
    ("heat", "expected"),
    [(one_mask(), 1.0), (~one_mask(), 0.0), (np.ones((1, 4, 4)), 0.25), (np.zeros((1, 4, 4)), 0.25)],
)
def test_known_maps(heat, expected):
    heat = heat.astype(np.float32)
    assert faithfulness.pointing_game(heat, one_mask()) == [expected]
    assert faithfulness.energy_inside_mask(heat, one_mask()) == [expected]
    assert faithfulness.energy_over_chance(heat, one_mask()) == [expected * 4]


def test_pointing_game_gives_tied_maxima_their_expected_value():
    heat = np.zeros((1, 4, 4))
    heat[0, 0, 0] = heat[0, 1, 1] = heat[0, 2, 2] = 7
    assert faithfulness.pointing_game(heat, one_mask()) == pytest.approx(2 / 3)


def test_the_magnitude_counts_in_both_scores():
    heat = np.zeros((1, 4, 4))
    heat[0, 1, 1], heat[0, 0, 0] = -3, 1
    assert faithfulness.pointing_game(heat, one_mask()) == 1
    assert faithfulness.energy_inside_mask(heat, one_mask()) == 0.75
    assert faithfulness.energy_inside_mask(np.maximum(heat, 0), one_mask()) == 0


def test_tolerance_is_a_distance_in_pixels():
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 0, 0] = True
    heat = np.zeros((1, 20, 20))
    heat[0, 3, 4] = 1  # five pixels away
    assert [float(faithfulness.pointing_game(heat, mask, tolerance)[0]) for tolerance in (0, 4.9, 5)] == [0, 0, 1]


def test_low_resolution_maps_are_scored_in_the_picture():
    heat = np.array([[[0.0, 0.0], [0.0, 1.0]]])
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 6:, 6:] = True
    assert faithfulness.pointing_game(heat, mask) == 1
    wanted = gradcam.resize(heat, (8, 8))
    assert faithfulness.energy_inside_mask(heat, mask) == pytest.approx(wanted[0, 6:, 6:].sum() / wanted.sum())


def test_an_empty_mask_has_no_score():
    empty = np.zeros((1, 4, 4), bool)
    for score in (faithfulness.pointing_game, faithfulness.energy_inside_mask, faithfulness.energy_over_chance):
        assert np.isnan(score(np.ones((1, 4, 4)), empty))
    assert np.isnan(faithfulness.pointing_game(np.ones((1, 4, 4)), empty, tolerance=3))


@pytest.mark.parametrize(
    ("masks", "complaint"),
    [(np.ones((1, 4, 4)), "bool"), (np.ones((4, 4), bool), "bool"), (np.ones((2, 4, 4), bool), "2 for 1 maps")],
)
def test_masks_that_do_not_fit(masks, complaint):
    with pytest.raises(ValueError, match=complaint):
        faithfulness.energy_inside_mask(np.ones((1, 4, 4)), masks)


def test_times_chance_by_hand():
    masks = np.zeros((3, 2, 2), bool)
    masks[:, 0, 0] = True  # a quarter of each picture
    maps = np.array([[[3, 1], [0, 0]], [[0, 0], [0, 1]], [[1, 1], [2, 0]]], float)
    times = faithfulness.times_chance(maps, masks)
    assert times["hits"] == pytest.approx((1 / 3) / 0.25)  # one peak of three is on its mask
    assert times["energy"] == pytest.approx(1)  # 3/4, 0 and 1/4 of the energy: 3, 0 and 1 times chance
    masks[1] = False
    with pytest.raises(ValueError, match="some are empty"):
        faithfulness.times_chance(maps, masks)


def test_quantus_gives_the_same_localisation_scores(quantus):
    maps, masks = quantus["maps"], quantus["masks"]
    np.testing.assert_allclose(faithfulness.pointing_game(maps, masks), quantus["pointing_game"], atol=1e-6)
    np.testing.assert_allclose(faithfulness.energy_inside_mask(maps, masks), quantus["relevance_mass"], atol=1e-6)


# deletion and insertion

WEIGHTS = np.random.default_rng(5).normal(size=(5 * 5 * 3,)).astype(np.float32)


def linear(images):
    """[b, 2]: the inner product with WEIGHTS, and minus that."""
    score = images.reshape(len(images), -1) @ WEIGHTS
    return np.stack([score, -score], axis=1)


def contributions(images, baselines):
    """What each pixel adds to `linear`'s first score: [B, 5, 5]."""
    return ((images - baselines) * WEIGHTS.reshape(5, 5, 3)).sum(axis=-1)


def closed_form(parts, steps):
    """Sums of the k most positive contributions, [B, steps + 1]."""
    sums = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(-np.sort(-parts.reshape(len(parts), -1)), axis=1)], 1)
    return sums[:, np.round(25 * (np.arange(steps + 1) / steps) ** 2).astype(int)]


@pytest.mark.parametrize("steps", [2, 4, 10, 25])
def test_a_linear_model_has_the_curves_of_its_cumulated_contributions(rng, steps):
    images = rng.uniform(size=(3, 5, 5, 3)).astype(np.float32)
    grey = faithfulness.mean_colour(images)
    parts = contributions(images, grey)
    order = parts - parts.min() + 1  # positive, in the order of the signed contributions
    fractions, deleted = faithfulness.deletion_curve(linear, images, order, 0, grey, steps)
    _, inserted = faithfulness.insertion_curve(linear, images, order, 0, grey, steps)
    np.testing.assert_allclose(fractions, (np.arange(steps + 1) / steps) ** 2)
    np.testing.assert_allclose(deleted, linear(images)[:, :1] - closed_form(parts, steps), atol=1e-5)
    np.testing.assert_allclose(inserted, linear(grey)[:, :1] + closed_form(parts, steps), atol=1e-5)


def test_the_true_contributions_have_the_smallest_deletion_and_largest_insertion_area(rng):
    images = rng.uniform(size=(4, 5, 5, 3)).astype(np.float32)
    soft = faithfulness.blurred(images)
    parts = contributions(images, soft)
    best = parts - parts.min() + 1
    for _ in range(20):
        other = rng.uniform(size=best.shape)
        for curve, sign in ((faithfulness.deletion_curve, -1), (faithfulness.insertion_curve, 1)):
            areas = [faithfulness.area(*curve(linear, images, maps, 0, soft)) for maps in (best, other)]
            assert (sign * (areas[0] - areas[1]) > 0).all()


def test_a_constant_model_has_flat_curves(rng):
    images = rng.uniform(size=(3, 5, 5, 3)).astype(np.float32)
    for curve in (faithfulness.deletion_curve, faithfulness.insertion_curve):
        fractions, scores = curve(
            lambda some: np.tile([[0.3, 0.7]], (len(some), 1)),
            images,
            rng.uniform(size=(3, 5, 5)),
            1,
            faithfulness.mean_colour(images),
        )
        np.testing.assert_array_equal(scores, np.full((3, 11), 0.7))
        np.testing.assert_allclose(faithfulness.area(fractions, scores), 0.7)


def test_area_of_a_straight_line():
    fractions = np.array([0, 0.1, 0.5, 1])
    np.testing.assert_allclose(faithfulness.area(fractions, np.stack([1 - fractions, fractions * 0 + 2])), [0.5, 2])


def test_classes_of_curves(rng):
    images = rng.uniform(size=(4, 5, 5, 3)).astype(np.float32) - 0.5
    maps, grey = rng.uniform(size=(4, 5, 5)), faithfulness.mean_colour(images)
    predicted = linear(images).argmax(axis=1)
    assert set(predicted) == {0, 1}
    for curve in (faithfulness.deletion_curve, faithfulness.insertion_curve):
        asked = curve(linear, images, maps, predicted, grey)[1]
        given = curve(linear, images, maps, predicted, grey, ends=[linear(images), linear(grey)])[1]
        np.testing.assert_allclose(given, asked, rtol=1e-5)
        np.testing.assert_array_equal(curve(linear, images, maps, None, grey)[1], asked)
        np.testing.assert_array_equal(curve(linear, images, maps, 1 - predicted, grey)[1], -asked)


def test_curves_are_batched_and_batches_do_not_matter(rng):
    images = rng.uniform(size=(3, 5, 5, 3)).astype(np.float32)
    maps, grey, seen = rng.uniform(size=(3, 5, 5)), faithfulness.mean_colour(images), []

    def predict(some):
        seen.append(len(some))
        return linear(some)

    curves = [faithfulness.deletion_curve(predict, images, maps, 0, grey, batch_size=size)[1] for size in (7, 64)]
    np.testing.assert_allclose(*curves, rtol=1e-5)
    assert seen == [7, 7, 7, 6, 3, 3, 27, 3, 3]


def test_equal_values_are_deleted_in_the_same_scattered_order_for_every_map():
    images, white = np.zeros((2, 20, 20, 1), np.float32), np.ones((2, 20, 20, 1), np.float32)
    flat = np.stack([np.zeros((20, 20)), np.full((20, 20), 3.0)])

    def counts(rows):
        return faithfulness.deletion_curve(lambda some: some[:, rows].sum((1, 2)), images, flat, 0, white)

    fractions, everywhere = counts(slice(None))
    np.testing.assert_array_equal(everywhere, np.tile(np.round(400 * fractions), (2, 1)))
    upper = counts(slice(10))[1]
    np.testing.assert_array_equal(upper[0], upper[1])
    assert (np.abs(2 * upper - everywhere) <= 4 * np.sqrt(everywhere)).all()


def test_curves_of_a_small_map_are_those_of_the_up_sampled_one(rng):
    images = rng.uniform(size=(2, 5, 5, 3)).astype(np.float32)
    small, grey = rng.uniform(size=(2, 3, 3)).astype(np.float32), faithfulness.mean_colour(images)
    curves = [
        faithfulness.insertion_curve(linear, images, maps, 0, grey)[1]
        for maps in (small, gradcam.resize(small, (5, 5)))
    ]
    np.testing.assert_array_equal(*curves)


def test_curves_refuse_what_does_not_fit(rng):
    images = rng.uniform(size=(2, 5, 5, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="maps one a picture"):
        faithfulness.deletion_curve(linear, images, np.ones((1, 5, 5)), 0, images)
    with pytest.raises(ValueError, match="the same"):
        faithfulness.deletion_curve(linear, images, np.ones((2, 5, 5)), 0, images[:, :4])
    with pytest.raises(ValueError, match="at least 2"):
        faithfulness.deletion_curve(linear, images, np.ones((2, 5, 5)), 0, images, steps=1)


def test_baselines(rng):
    images = rng.uniform(size=(2, 32, 32, 3)).astype(np.float32)
    grey = faithfulness.mean_colour(images)
    np.testing.assert_allclose(grey[1, 3, 4], images[1].mean((0, 1)), rtol=1e-6)
    images[0, ..., 1], images[1] = 0, 0.25
    soft = faithfulness.blurred(images)
    assert (soft[0, ..., 1] == 0).all() and np.ptp(soft[0, ..., 0]) < 0.5 * np.ptp(images[0, ..., 0])
    np.testing.assert_allclose(soft[1], 0.25, rtol=1e-6)
    np.testing.assert_allclose(faithfulness.blurred(images, sigma=0), images)
    np.testing.assert_allclose(faithfulness.blurred(images, sigma=2), soft, rtol=1e-6)  # 32 / 16


# similarities and randomisation


def test_spearman_is_scipys(rng):
    first, second = rng.integers(0, 9, (2, 5, 7, 6))
    wanted = [scipy.stats.spearmanr(one.ravel(), other.ravel())[0] for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(faithfulness.spearman(first, second), wanted, rtol=1e-12)


def test_spearman_of_known_maps(rng):
    heat = rng.uniform(size=(1, 8, 8))
    for other, expected in ((heat**3, 1), (-heat, -1), (heat * 0, 0)):
        assert faithfulness.spearman(heat, other) == pytest.approx(expected)
    assert faithfulness.spearman(heat * 0, heat * 0 + 2) == 1


def test_quantus_gives_the_same_randomisation_scores(quantus):
    original, *randomised = (faithfulness.saliency(maps) for maps in quantus["gradients"])
    ours = [faithfulness.spearman(original, maps) for maps in randomised]
    np.testing.assert_allclose(ours, quantus["randomisation"], atol=1e-6)


def weights_of(model):
    return [variable.numpy().copy() for variable in model.weights]


def assert_same_bits(model, before):
    assert [one.tobytes() for one in weights_of(model)] == [one.tobytes() for one in before]


def test_randomisation_goes_down_from_the_top_and_puts_the_weights_back(cnn, rng, quantus):
    images, before, seen = rng.uniform(size=(2, 12, 12, 3)).astype(np.float32), weights_of(cnn), []

    def explain(images, classes):
        pairs = list(zip(weights_of(cnn), before, strict=True))
        seen.append([not np.array_equal(now, then) for now, then in pairs[::2]])
        assert list(classes) == [1, 0]
        for now, then in pairs:
            np.testing.assert_array_equal(np.sort(now, axis=None), np.sort(then, axis=None))  # shuffled, not drawn
        return images

    alike = faithfulness.model_randomisation(cnn, explain, images, [1, 0])
    assert list(alike) == ["top", "second", "first"] == list(quantus["layers"])
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True] * 3]
    np.testing.assert_allclose(list(alike.values()), 1)  # this explainer does not show the model
    assert_same_bits(cnn, before)


def test_randomisation_changes_a_gradient_and_repeats_with_its_seed(cnn, rng):
    images = rng.uniform(size=(20, 12, 12, 3)).astype(np.float32)
    runs = [faithfulness.model_randomisation(cnn, guided.Gradient(cnn), images, 1, seed=seed) for seed in (0, 0, 1)]
    assert all(values.shape == (20,) and (values < 0.95).all() for values in runs[0].values())
    for path in runs[0]:
        np.testing.assert_array_equal(runs[0][path], runs[1][path])
    assert not np.array_equal(runs[0]["first"], runs[2]["first"])


def test_randomisation_wants_the_same_classes_throughout(cnn, rng):
    with pytest.raises(ValueError, match="those predicted before"):
        faithfulness.model_randomisation(cnn, gradcam.GradCAM(cnn), rng.uniform(size=(2, 12, 12, 3)), None)


def test_randomisation_puts_the_weights_back_after_an_exception(cnn, rng):
    before, calls = weights_of(cnn), []

    def explain(images, classes):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the explainer broke")
        return images

    with pytest.raises(RuntimeError, match="broke"):
        faithfulness.model_randomisation(cnn, explain, rng.uniform(size=(2, 12, 12, 3)).astype(np.float32), 0)
    assert_same_bits(cnn, before)


class Subclassed(keras.Model):
    """A nested block that runs before a layer made earlier."""

    def __init__(self):
        super().__init__()
        self.top = keras.layers.Conv2D(2, 1, name="top")
        self.block = keras.Sequential(
            [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm"), keras.layers.ReLU()],
            name="block",
        )

    def call(self, images):
        return tf.reduce_mean(self.top(self.block(images)), axis=(1, 2))


def test_randomisation_of_a_subclassed_model_follows_execution_or_the_layers_asked_for(rng):
    model, images = Subclassed(), rng.uniform(size=(2, 12, 12, 3)).astype(np.float32)
    model(images)
    before, gradient, kernels = weights_of(model), guided.Gradient(model), []

    def explain(images, classes):
        kernels.append(model.top.kernel.numpy().reshape(4, 2))
        return gradient(images, classes)

    assert list(faithfulness.model_randomisation(model, explain, images, 1)) == ["top", "block/norm", "block/conv"]
    assert {*map(tuple, kernels[0])}.isdisjoint(map(tuple, kernels[-1]))  # rows are not moved as a whole
    alike = faithfulness.model_randomisation(model, explain, images, 1, layers=["block", model.top])
    assert list(alike) == ["block", "top"]
    assert all((values < 1).all() for values in alike.values())
    assert_same_bits(model, before)


def test_label_randomisation_compares_two_explainers(rng):
    images = rng.uniform(size=(3, 6, 6, 3))
    alike = faithfulness.label_randomisation(lambda some, classes: some, lambda some, classes: -(some**2), images, None)
    np.testing.assert_allclose(alike, faithfulness.spearman(images.sum(-1), (images**2).sum(-1)))
    np.testing.assert_allclose(faithfulness.label_randomisation(lambda *_: images, lambda *_: -images, images, 1), 1)


# completeness, time, intervals


def test_completeness_gap_by_hand():
    maps = np.array([[[1.0, 3.0]], [[1.0, 3.0]], [[-1.0, 1.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(faithfulness.completeness_gap(maps, [2, 4, 0, 0]), [0, 0.5, 0, np.inf])


def test_maps_that_claim_completeness_have_it(cnn, rng):
    model, images = gcm.GCM(3), rng.uniform(size=(4, 12, 12, 3)).astype(np.float32)
    scores = model(images).numpy()[:, 1]
    assert (faithfulness.completeness_gap(model.contribution_maps(images, 1), scores) <= 1e-5).all()
    logits = np.log(cnn(images).numpy())
    maps = [gradcam.CAM(cnn)(images, label) for label in (0, 1)]
    assert (faithfulness.completeness_gap(maps[1] - maps[0], logits[:, 1] - logits[:, 0]) <= 1e-4).all()
    assert (faithfulness.completeness_gap(maps[1] ** 2, logits[:, 1] - logits[:, 0]) > 1e-4).all()


def test_time_is_the_median_of_interleaved_rounds(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])

    def explain(images, classes):
        log.append("explain")
        clock[0] += 3 if len(log) < 9 else 30  # the machine becomes busy

    def predict(images):
        log.append("predict")
        clock[0] += 2 if len(log) < 9 else 20

    assert faithfulness.time_in_forward_passes(explain, predict, None, None, rounds=5) == pytest.approx(1.5)
    assert log == ["explain", "predict"] * 6


def test_bootstrap_interval_covers_the_mean():
    rng = np.random.default_rng(3)
    samples = rng.exponential(size=(400, 60))
    intervals = np.array([faithfulness.bootstrap_interval(sample, resamples=1000) for sample in samples])
    covered = ((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1)).mean()
    assert 0.90 <= covered <= 0.97  # exactly 0.95 for large samples; a little less for skewed ones of 60


def test_bootstrap_interval_by_the_normal_approximation(rng):
    values = rng.normal(5, 2, 400)
    half = 1.96 * values.std() / np.sqrt(400)
    np.testing.assert_allclose(
        faithfulness.bootstrap_interval(values), [values.mean() - half, values.mean() + half], atol=0.02
    )
    narrow = faithfulness.bootstrap_interval(values, level=0.5)
    assert narrow[1] - narrow[0] == pytest.approx(2 * 0.6745 / 1.96 * half, rel=0.03)
    assert faithfulness.bootstrap_interval([3.0, 3.0]) == (3.0, 3.0)
    assert faithfulness.bootstrap_interval(values) == faithfulness.bootstrap_interval(values)


@pytest.mark.parametrize("values", [[1.0, np.nan], [], [[1.0, 2.0]]])
def test_bootstrap_interval_refuses(values):
    with pytest.raises(ValueError, match="one number a picture"):
        faithfulness.bootstrap_interval(values)


# the contract


def test_any_number_of_pictures_is_explained_in_batches(rng):
    images, seen = rng.uniform(size=(7, 4, 4, 3)), []

    def explain(some, classes):
        seen.append((len(some), None if classes is None else list(classes)))
        return some[..., 0]

    for classes in (None, 1, [0, 1, 0, 1, 1, 1, 0]):
        np.testing.assert_array_equal(faithfulness.explain_all(explain, images, classes, 4), images[..., 0])
    assert seen == [(4, None), (3, None), (4, [1] * 4), (3, [1] * 3), (4, [0, 1, 0, 1]), (3, [1, 1, 0])]


@pytest.mark.parametrize(
    "method",
    [gradcam.GradCAM, gradcam.CAM, guided.Gradient, guided.GuidedBackprop, guided.Deconvnet, guided.GuidedGradCAM],
)
def test_every_explainer_is_scored_by_the_same_calls(cnn, rng, method):
    images, masks = rng.uniform(size=(3, 12, 12, 3)).astype(np.float32), np.zeros((3, 12, 12), bool)
    masks[:, :6] = True
    maps = faithfulness.explain_all(method(cnn), images, [0, 1, 0], batch_size=2)
    inside, outside = (faithfulness.energy_inside_mask(maps, side) for side in (masks, ~masks))
    np.testing.assert_allclose(inside + outside, 1)
    curves = faithfulness.deletion_curve(cnn, images, maps, [0, 1, 0], faithfulness.mean_colour(images))[1]
    np.testing.assert_allclose(curves[:, 0], tf.gather(cnn(images), [0, 1, 0], batch_dims=1), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-200, 1e-50, 1e40, 1e200])
def test_enlarging_a_map_keeps_its_scale(rng, scale):
    maps = rng.uniform(size=(2, 3, 4))
    small = faithfulness.saliency(maps, [12, 8])
    np.testing.assert_array_equal(small, gradcam.resize(maps, (12, 8)).astype(np.float64))  # not a digit is lost
    np.testing.assert_allclose(faithfulness.saliency(scale * maps, (12, 8)), scale * small, rtol=1e-6)


@pytest.mark.parametrize("classes", [-1, 2, [0, 2]])
def test_curves_of_classes_that_do_not_exist_are_refused(cnn, rng, classes):
    images = rng.uniform(size=(2, 12, 12, 3)).astype(np.float32)
    for curve in (faithfulness.deletion_curve, faithfulness.insertion_curve):
        with pytest.raises(ValueError, match="predict gives the classes 0 to 1"):
            curve(cnn, images, images, classes, faithfulness.mean_colour(images))


def test_ends_may_be_one_array(cnn, rng):
    images = rng.uniform(size=(2, 12, 12, 3)).astype(np.float32)
    grey = faithfulness.mean_colour(images)
    ends = np.stack([faithfulness.predict_all(cnn, some) for some in (images, grey)])
    for curve in (faithfulness.deletion_curve, faithfulness.insertion_curve):
        np.testing.assert_array_equal(
            curve(cnn, images, images, 0, grey, ends=ends)[1], curve(cnn, images, images, 0, grey)[1]
        )


def test_a_models_own_inputs_are_explained_in_batches(rng):
    pictures, words = keras.Input((12, 12, 3), name="pictures"), keras.Input((2,), name="words")
    features = keras.layers.Conv2D(3, 3, activation="relu")(pictures)
    both = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(features), words])
    model = keras.Model({"pictures": pictures, "words": words}, keras.layers.Dense(2)(both))
    inputs = {"pictures": rng.uniform(size=(5, 12, 12, 3)), "words": rng.uniform(size=(5, 2))}
    explain, sizes = gradcam.GradCAM(model), []

    def counted(some, classes):
        sizes.append(len(some["words"]))
        return explain(some, classes)

    for classes in (None, 1, [0, 1, 1, 0, 1]):
        np.testing.assert_allclose(
            faithfulness.explain_all(counted, inputs, classes, batch_size=2),
            explain(inputs, classes),
            rtol=1e-5,
            atol=1e-7,
        )
    assert sizes == [2, 2, 1] * 3
    with pytest.raises(ValueError, match="at least one picture"):
        faithfulness.explain_all(explain, {name: value[:0] for name, value in inputs.items()})


@settings(deadline=None, max_examples=25)
@given(WHOLE_MAPS, SCALES)
def test_no_score_depends_on_the_scale_of_a_map(heat, scale):
    rng = np.random.default_rng(0)
    masks, images = rng.uniform(size=heat.shape) > 0.6, rng.uniform(size=(*heat.shape, 3)).astype(np.float32)
    weights, other = rng.normal(size=(108, 1)), rng.uniform(size=heat.shape)

    def scores(maps):
        grey = faithfulness.mean_colour(images)
        return [
            faithfulness.pointing_game(maps, masks, tolerance=1),
            faithfulness.energy_inside_mask(maps, masks),
            faithfulness.spearman(maps, other),
            *(
                faithfulness.area(*curve(lambda some: some.reshape(-1, 108) @ weights, images, maps, 0, grey))
                for curve in (faithfulness.deletion_curve, faithfulness.insertion_curve)
            ),
        ]

    for one, other_scale in zip(scores(heat), scores(heat * scale), strict=True):
        np.testing.assert_allclose(one, other_scale, rtol=1e-5, atol=1e-6)
