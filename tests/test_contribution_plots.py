"""The drawings of contribution maps: what is drawn is the map, on one scale, framed where it should be."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from helpers import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(axes):
    return np.asarray(axes.get_images()[0].get_array())


def framed(axes):
    return axes.spines["left"].get_visible() and axes.spines["left"].get_edgecolor() == to_rgba("#d62728")


def test_contributions_are_drawn_on_one_scale_a_picture():
    rng = np.random.default_rng(0)
    images, maps = rng.random((2, 8, 8, 3)), rng.normal(0, 5, (2, 3, 8, 8, 3))
    maps[1] *= 10
    scores = maps.mean((2, 3, 4))
    figure = plots.contributions(images, maps, scores, ("a", "b", "c"), [2, 0])
    grid = np.array(figure.axes).reshape(4, 4)
    for index, true in enumerate([2, 0]):
        scale = np.percentile(np.abs(maps[index]), 99.5)
        assert grid[2 * index, 0].get_title().endswith(f"white: {scale:.0f}")
        for j in range(3):
            upper, lower = grid[2 * index, j + 1], grid[2 * index + 1, j + 1]
            np.testing.assert_allclose(drawn(upper), np.clip(maps[index, j] / scale, 0, 1))
            np.testing.assert_allclose(drawn(lower), np.clip(-maps[index, j] / scale, 0, 1))
            assert framed(upper) == framed(lower) == (j == true)
            assert f"{abs(scores[index, j]):.1f}" in upper.get_title()


def test_maps_without_negative_parts_have_one_row_a_picture():
    maps = np.random.default_rng(0).random((2, 3, 4, 4, 3))
    figure = plots.contributions(maps[:, 0], maps, maps.mean((2, 3, 4)), ("a", "b", "c"), [1, 1])
    assert len(figure.axes) == 8


def test_black_maps_are_drawn_black():
    nothing = np.zeros((1, 2, 4, 4, 3))
    figure = plots.contributions(nothing[0, :1], nothing, np.zeros((1, 2)), ("a", "b"), [0])
    assert all(drawn(axes).max() == 0 for axes in figure.axes)
    assert drawn(plots.positive_contributions(nothing[0], nothing[0]).axes[1]).max() == 0


def test_positive_contributions_stand_beside_their_pictures():
    rng = np.random.default_rng(0)
    images, maps = rng.random((3, 4, 4, 3)), rng.normal(size=(3, 4, 4, 3))
    figure = plots.positive_contributions(images, maps, ["x", "y", "z"], columns=2)
    assert len(figure.axes) == 8
    for index in range(3):
        left, right = figure.axes[2 * index], figure.axes[2 * index + 1]
        positive = np.maximum(maps[index], 0)
        np.testing.assert_allclose(drawn(left), images[index])
        np.testing.assert_allclose(drawn(right), np.clip(positive / np.percentile(positive, 99.5), 0, 1))
        assert left.get_title() == "xyz"[index]


def test_a_gradient_of_a_few_places_is_drawn_at_full_colour():
    """They are fewer than the half percent that may saturate."""
    gradient = np.zeros((160, 160, 3), "float32")
    gradient[:4, :4], gradient[80, 80] = 1e-3, -1e-3
    colours = plots.gradient_colours(gradient)
    assert (colours[:4, :4] == 1).all() and (colours[80, 80] == 0).all() and np.median(colours) == 0.5
    assert (plots.gradient_colours(np.zeros((4, 4, 3))) == 0.5).all()
