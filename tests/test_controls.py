"""The two controls: where they peak, what they ignore, Sobel's kernel by hand."""

import numpy as np
import pytest

from helpers import controls


def test_the_blob_is_in_the_middle_and_sees_nothing():
    blob = controls.centred_blob(np.random.default_rng(0).uniform(size=(2, 9, 13, 3)), [0, 1])
    assert blob.shape == (2, 9, 13) and blob.dtype == np.float32
    assert np.unravel_index(blob[0].argmax(), (9, 13)) == (4, 6)
    np.testing.assert_allclose(blob[0], blob[1, ::-1, ::-1], rtol=1e-6)
    assert blob[0, 6, 6] == pytest.approx(np.exp(-0.5)) and blob[0, 4, 9] == pytest.approx(np.exp(-0.5))


def test_the_edge_detector_finds_edges_by_sobels_kernel():
    images = np.zeros((1, 7, 8, 3), np.float32)
    images[:, :, 4:] = 0.5
    edges = controls.edge_detector(images, 1)
    wanted = np.zeros((1, 7, 8))
    wanted[:, :, 3:5] = 4 * 0.5
    np.testing.assert_allclose(edges, wanted)
    np.testing.assert_allclose(controls.edge_detector(images.swapaxes(1, 2)), wanted.swapaxes(1, 2))
    images[0] = 0
    images[0, 3, 3] = (0.3, 0.6, 0.9)
    np.testing.assert_allclose(controls.edge_detector(images)[0, 2, 2:5], 0.6 * np.sqrt([2, 4, 2]), rtol=1e-6)
