"""Scores on maps whose value is known, curves in closed form, Quantus' numbers."""

import contextlib
from pathlib import Path
from unittest.mock import Mock

import keras
import networks
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

from helpers import faithfulness, gcm
from helpers.faithfulness import measuring
from helpers.gradcam import CAM, GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.maps import resize

QUANTUS = np.load(Path(__file__).with_name("quantus.npz"))
CURVES = (faithfulness.deletion_curve, faithfulness.insertion_curve)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cnn():
    """A small network ending in global average pooling, for which CAM is defined."""
    keras.utils.set_random_seed(1)
    convolutions = [layers.Conv2D(n, 3, activation="relu", name=name) for n, name in ((4, "first"), (6, "second"))]
    top = layers.Dense(2, bias_initializer="ones", activation="softmax", name="top")
    return networks.stack(*convolutions, layers.GlobalAveragePooling2D(), top)


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
        *((curve, (thirds, GREY, np.ones((1, 5, 5)), 0, GREY), "maps one a picture") for curve in CURVES),
        *((curve, (thirds, GREY, np.ones((2, 5, 5)), 0, GREY[:, :4]), "the same") for curve in CURVES),
        *((curve, (thirds, GREY, np.ones((2, 5, 5)), 0, GREY, 1), "at least 2") for curve in CURVES),
        *((curve, (thirds, GREY, GREY, some, GREY), KNOWN) for curve in CURVES for some in (-1, 2, [0, 2])),
        (faithfulness.model_randomisation, (None, None, GREY, None), "those predicted before"),
        *((faithfulness.bootstrap_interval, (some,), "one number a") for some in ([1.0, np.nan], [], [[[1.0]]])),
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


def test_spearman_is_scipys_and_that_of_constant_maps_0_or_1(rng):
    first, second = rng.integers(0, 9, (2, 5, 7, 6))
    wanted = [scipy.stats.spearmanr(one.ravel(), other.ravel())[0] for one, other in zip(first, second, strict=True)]
    assert_allclose(faithfulness.spearman(first, second), wanted, rtol=1e-12)
    heat = rng.uniform(size=(1, 8, 8))
    for other, expected in ((heat**3, 1), (-heat, -1), (heat * 0, 0)):
        assert faithfulness.spearman(heat, other) == pytest.approx(expected)
    assert faithfulness.spearman(heat * 0, heat * 0 + 2) == 1


@contextlib.contextmanager
def unchanged(model):
    before = [weight.tobytes() for weight in model.get_weights()]
    yield
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_randomisation_goes_down_from_the_top_and_puts_the_weights_back(cnn, rng):
    before, seen = cnn.get_weights(), []

    def explain(images, classes):
        pairs = list(zip(cnn.get_weights(), before, strict=True))
        seen.append([not np.array_equal(now, then) for now, then in pairs[::2]])
        assert list(classes) == [1, 0]
        for now, then in pairs:
            assert_array_equal(np.sort(now, axis=None), np.sort(then, axis=None))  # shuffled, not drawn
        return images

    with unchanged(cnn):
        alike = faithfulness.model_randomisation(cnn, explain, pictures(rng, 2, 12), [1, 0])
    assert list(alike) == ["top", "second", "first"] == list(QUANTUS["layers"])
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True] * 3]
    assert_allclose(list(alike.values()), 1)  # this explainer does not show the model


def test_randomisation_changes_a_gradient_and_repeats_with_its_seed(cnn, rng):
    images, explain = pictures(rng, 20, 12), Gradient(cnn)
    first, again, other = (faithfulness.model_randomisation(cnn, explain, images, 1, seed=seed) for seed in (0, 0, 1))
    assert all(values.shape == (20,) and (values < 0.95).all() for values in first.values())
    for path in first:
        assert_array_equal(first[path], again[path])
    assert not np.array_equal(first["first"], other["first"])


def test_randomisation_puts_the_weights_back_after_an_exception(cnn, rng):
    images = pictures(rng, 2, 12)
    explain = Mock(side_effect=[images, images, RuntimeError("the explainer broke")])
    with unchanged(cnn), pytest.raises(RuntimeError, match="broke"):
        faithfulness.model_randomisation(cnn, explain, images, 0)


class Backwards(networks.Subclassed):
    """Its layers run in another order than they were made."""

    def call(self, inputs):
        return networks.chained(inputs, reversed(self.chain))


def test_randomisation_of_a_subclassed_model_follows_execution_or_the_layers_asked_for(rng):
    top, images, kernels = layers.Conv2D(2, 1, name="top"), pictures(rng, 2, 12), []
    block = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
    model = Backwards(layers.GlobalAveragePooling2D(), top, keras.Sequential(block, name="block"))
    model(images)
    gradient = Gradient(model)

    def explain(images, classes):
        kernels.append(top.kernel.numpy().reshape(4, 2))
        return gradient(images, classes)

    with unchanged(model):
        assert list(faithfulness.model_randomisation(model, explain, images, 1)) == ["top", "block/norm", "block/conv"]
        assert {*map(tuple, kernels[0])}.isdisjoint(map(tuple, kernels[-1]))  # rows are not moved as a whole
        alike = faithfulness.model_randomisation(model, explain, images, 1, layers=["block", top])
    assert list(alike) == ["block", "top"]
    assert all((values < 1).all() for values in alike.values())


def test_randomisation_makes_an_adapted_normalisation_forget_too(rng):
    adapted, images = layers.Normalization(name="adapted"), pictures(rng, 2, 12) * [1, 30, 200]
    adapted.adapt(images)
    start = keras.Sequential([adapted, layers.Conv2D(4, 3, activation="tanh", name="conv")], name="start")
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), start, layers.GlobalAveragePooling2D(), layers.Dense(2, name="top")]
    )
    gradient, before = Gradient(model), model(images).numpy()
    original = gradient(images, 1)
    with unchanged(model):
        alike = faithfulness.model_randomisation(model, gradient, images, 1)
    assert list(alike) == ["top", "start/conv", "start/adapted"]
    assert not np.allclose(alike["start/adapted"], alike["start/conv"])
    assert_allclose(model(images), before)
    assert_allclose(gradient(images, 1), original, rtol=1e-5)


class Gated(layers.Layer):
    """A layer with a weight of its own around a layer with weights."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="gate")
        self.inner = layers.Conv2D(shape[-1], 1, name="inner")
        self.inner.build(shape)

    def call(self, inputs):
        return self.gate * self.inner(inputs)


def test_randomisation_makes_a_layer_around_others_forget_its_own_weights(rng):
    conv, gated, top = layers.Conv2D(4, 3, activation="tanh", name="conv"), Gated(name="gated"), layers.Dense(2)
    model, seen = networks.stack(conv, gated, layers.GlobalAveragePooling2D(), top), []
    kernels = [top.kernel, gated.gate, gated.inner.kernel, conv.kernel]
    before = [kernel.numpy() for kernel in kernels]

    def explain(images, classes):
        seen.append([np.array_equal(now.numpy(), then) for now, then in zip(kernels, before, strict=True)])
        return images

    with unchanged(model):
        alike = faithfulness.model_randomisation(model, explain, pictures(rng, 2, 12), 0)
    assert list(alike) == [top.name, "gated", "gated/inner", "conv"]
    assert seen == [[number >= forgotten for number in range(4)] for forgotten in range(5)]


@pytest.mark.parametrize("structured", [list, lambda both: dict(zip(("picture", "table"), both, strict=True))])
def test_randomisation_takes_a_models_own_structure_of_inputs(rng, structured):
    picture, table = keras.Input((12, 12, 3), name="picture"), keras.Input((4,), name="table")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(picture))
    top = layers.Dense(2, name="top")(layers.Concatenate()([seen, table]))
    model = keras.Model(structured([picture, table]), top)
    images = structured([pictures(rng, 2, 12), rng.random((2, 4), np.float32)])
    with unchanged(model):
        alike = faithfulness.model_randomisation(model, Gradient(model), images, [1, 0])
    assert list(alike) == ["top", "conv"] and all(values.shape == (2,) for values in alike.values())
    moved = faithfulness.sensitivity(Gradient(model), images, [1, 0])
    assert moved.shape == (2,) and (moved > 0).all()


def test_label_randomisation_compares_two_explainers(rng):
    images = rng.uniform(size=(3, 6, 6, 3))
    alike = faithfulness.label_randomisation(lambda some, classes: some, lambda some, classes: -(some**2), images, None)
    assert_allclose(alike, faithfulness.spearman(images.sum(-1), (images**2).sum(-1)))
    assert_allclose(faithfulness.label_randomisation(lambda *_: images, lambda *_: -images, images, 1), 1)


def test_completeness_gap_by_hand():
    maps = np.array([[[1.0, 3.0]], [[1.0, 3.0]], [[-1.0, 1.0]], [[0.0, 1.0]]])
    assert_allclose(faithfulness.completeness_gap(maps, [2, 4, 0, 0]), [0, 0.5, 0, np.inf])


def test_maps_that_claim_completeness_have_it(cnn, rng):
    model, images = gcm.GCM(3), pictures(rng, 4, 12)
    scores = model(images).numpy()[:, 1]
    assert (faithfulness.completeness_gap(model.contribution_maps(images, 1), scores) <= 1e-5).all()
    difference = np.diff(np.log(cnn(images).numpy()))[:, 0]
    maps = CAM(cnn)(images, 1) - CAM(cnn)(images, 0)
    assert (faithfulness.completeness_gap(maps, difference) <= 1e-4).all()
    assert (faithfulness.completeness_gap(CAM(cnn)(images, 1) ** 2, difference) > 1e-4).all()


def test_time_is_the_median_of_interleaved_rounds(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])

    def work(name, seconds):
        log.append(name)
        clock[0] += seconds if len(log) < 9 else 10 * seconds  # the machine becomes busy

    explain, predict = (lambda images, classes: work("explain", 3)), (lambda images: work("predict", 2))
    assert faithfulness.time_in_forward_passes(explain, predict, None, None, rounds=5) == pytest.approx(1.5)
    assert log == ["explain", "predict"] * 6


def test_bootstrap_interval_covers_the_mean():
    samples = np.random.default_rng(3).exponential(size=(400, 60))
    low, high = np.transpose([faithfulness.bootstrap_interval(sample, resamples=1000) for sample in samples])
    assert 0.90 <= ((low <= 1) & (high >= 1)).mean() <= 0.97  # exactly 0.95 for large samples; skewed ones of 60: less


def test_bootstrap_interval_by_the_normal_approximation(rng):
    values = rng.normal(5, 2, 400)
    half, found = 1.96 * values.std() / np.sqrt(400), faithfulness.bootstrap_interval(values)
    assert_allclose(found, [values.mean() - half, values.mean() + half], atol=0.02)
    narrow = np.ptp(faithfulness.bootstrap_interval(values, level=0.5))
    assert narrow == pytest.approx(2 * 0.6745 / 1.96 * half, rel=0.03)
    assert faithfulness.bootstrap_interval([3.0, 3.0]) == (3.0, 3.0)
    assert faithfulness.bootstrap_interval(values) == found


def test_any_number_of_pictures_is_explained_in_batches(rng):
    images, seen = rng.uniform(size=(7, 4, 4, 3)), []

    def explain(some, classes):
        seen.append((len(some), None if classes is None else list(classes)))
        return some[..., 0]

    for classes in (None, 1, [0, 1, 0, 1, 1, 1, 0]):
        assert_array_equal(faithfulness.explain_all(explain, images, classes, 4), images[..., 0])
    assert seen == [(4, None), (3, None), (4, [1] * 4), (3, [1] * 3), (4, [0, 1, 0, 1]), (3, [1, 1, 0])]


def test_a_models_own_inputs_are_explained_in_batches(rng):
    inputs = {"pictures": pictures(rng, 5, 12), "words": rng.uniform(size=(5, 2))}
    symbolic = {name: keras.Input(value.shape[1:], name=name) for name, value in inputs.items()}
    features = layers.Conv2D(3, 3, activation="relu")(symbolic["pictures"])
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(features), symbolic["words"]])
    explain = GradCAM(keras.Model(symbolic, layers.Dense(2)(both)))
    counted = Mock(wraps=explain)
    for classes in (None, 1, [0, 1, 1, 0, 1]):
        maps = faithfulness.explain_all(counted, inputs, classes, batch_size=2)
        assert_allclose(maps, explain(inputs, classes), rtol=1e-5, atol=1e-7)
    assert [len(call.args[0]["words"]) for call in counted.call_args_list] == [2, 2, 1] * 3


@pytest.mark.parametrize("method", [GradCAM, CAM, Gradient, GuidedBackprop, Deconvnet, GuidedGradCAM])
def test_every_explainer_is_scored_by_the_same_calls(cnn, rng, method):
    images, masks = pictures(rng, 3, 12), np.zeros((3, 12, 12), bool)
    masks[:, :6] = True
    maps = faithfulness.explain_all(method(cnn), images, [0, 1, 0], batch_size=2)
    inside, outside = (faithfulness.energy_inside_mask(maps, side) for side in (masks, ~masks))
    assert_allclose(inside + outside, 1)
    curves = faithfulness.deletion_curve(cnn, images, maps, [0, 1, 0], faithfulness.mean_colour(images))[1]
    assert_allclose(curves[:, 0], cnn(images).numpy()[range(3), [0, 1, 0]], rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(arrays(np.float64, (2, 6, 6), elements=st.integers(0, 50).map(float)), st.floats(1e-20, 1e20))
def test_no_score_depends_on_the_scale_of_a_map(heat, scale):
    rng = np.random.default_rng(0)
    masks, images, weights = rng.uniform(size=heat.shape) > 0.6, pictures(rng, 2, 6), rng.normal(size=(108, 1))
    given = lambda some: some.reshape(-1, 108) @ weights, images

    def scores(maps):
        yield faithfulness.pointing_game(maps, masks, tolerance=1)
        yield faithfulness.energy_inside_mask(maps, masks)
        yield faithfulness.spearman(maps, images[..., 0])
        for curve in CURVES:
            yield faithfulness.area(*curve(*given, maps, 0, faithfulness.mean_colour(images)))

    for one, other in zip(scores(heat), scores(heat * scale), strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)
