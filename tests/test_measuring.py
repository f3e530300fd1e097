"""Completeness, cost and intervals; any number of pictures."""

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from test_faithfulness import CURVES, pictures

from helpers import faithfulness, gcm
from helpers.faithfulness import measuring
from helpers.gradcam import CAM, GradCAM


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
    for classes in ([1], [0, 1, 0]):
        with pytest.raises(ValueError, match="expected an int, 7 ints for 7 pictures, or None"):
            faithfulness.explain_all(explain, images, classes)


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
