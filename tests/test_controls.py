"""The controls: where they peak, what they ignore, Sobel's kernel by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.faithfulness import controls


def test_the_blob_is_in_the_middle_and_sees_nothing():
    blob = controls.centred_blob(np.random.default_rng(0).uniform(size=(2, 9, 13, 3)), [0, 1])
    assert blob.shape == (2, 9, 13) and blob.dtype == np.float32
    assert np.unravel_index(blob[0].argmax(), (9, 13)) == (4, 6)
    assert_allclose(blob[0], blob[1, ::-1, ::-1], rtol=1e-6)
    assert blob[0, 6, 6] == pytest.approx(np.exp(-0.5)) and blob[0, 4, 9] == pytest.approx(np.exp(-0.5))


def test_the_edge_detector_finds_edges_by_sobels_kernel():
    step = np.where(np.arange(8) < 4, 0, 0.5) * np.ones((1, 7, 1))
    wanted = np.where(np.isin(np.arange(8), [3, 4]), 4 * 0.5, 0) * np.ones((1, 7, 1))
    assert_allclose(controls.edge_detector(np.stack([step] * 3, axis=-1), 1), wanted)
    assert_allclose(controls.edge_detector(np.stack([step.swapaxes(1, 2)] * 3, axis=-1)), wanted.swapaxes(1, 2))
    point = np.zeros((1, 7, 8, 3), np.float32)
    point[0, 3, 3] = (0.3, 0.6, 0.9)
    assert_allclose(controls.edge_detector(point)[0, 2, 2:5], 0.6 * np.sqrt([2, 4, 2]), rtol=1e-6)


def test_brightness_is_the_mean_of_the_colours():
    images = np.array([[[[0.3, 0.6, 0.9], [0, 0, 1]]]], np.float32)
    assert_allclose(controls.brightness(images, 0), [[[0.6, 1 / 3]]], rtol=1e-6)


def test_random_maps_differ_from_picture_to_picture_and_not_from_call_to_call():
    images = np.zeros((2, 40, 50, 3), np.float32)
    first, second = controls.random_map(images, [0, 1])
    assert_array_equal(controls.random_map(images), [first, second])
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() < 1
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1 and first.mean() == pytest.approx(0.5, abs=0.02)
