"""The drawings of contribution maps: what is drawn is the map, on one scale, framed where it should be."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from helpers import plots

RNG = np.random.default_rng(0)
NAMES = ("a", "b", "c")


def drawn(axes):
    return np.asarray(axes.get_images()[0].get_array())


def framed(axes):
    return axes.spines["left"].get_visible() and axes.spines["left"].get_edgecolor() == to_rgba("#d62728")


def test_contributions_are_drawn_on_one_scale_a_picture():
    images, maps = RNG.random((2, 8, 8, 3)), RNG.normal(0, 5, (2, 3, 8, 8, 3))
    maps[1] *= 10
    scores = maps.mean((2, 3, 4))
    grid = np.array(plots.contributions(images, maps, scores, NAMES, [2, 0]).axes).reshape(2, 2, 4)
    for index, true in enumerate([2, 0]):
        scale = np.percentile(np.abs(maps[index]), 99.5)
        assert grid[index, 0, 0].get_title().endswith(f"white: {scale:.0f}")
        for j, (upper, lower) in enumerate(grid[index, :, 1:].T):
            np.testing.assert_allclose(drawn(upper), np.clip(maps[index, j] / scale, 0, 1))
            np.testing.assert_allclose(drawn(lower), np.clip(-maps[index, j] / scale, 0, 1))
            assert framed(upper) == framed(lower) == (j == true)
            assert f"{abs(scores[index, j]):.1f}" in upper.get_title()


def test_a_clipped_networks_maps_stand_below_on_their_own_scale():
    images, maps, clipped = RNG.random((2, 8, 8, 3)), RNG.normal(0, 5, (2, 3, 8, 8, 3)), RNG.random((2, 3, 8, 8, 3))
    scores = maps.mean((2, 3, 4)), clipped.mean((2, 3, 4))
    figure = plots.contributions(images, maps, scores[0], NAMES, [2, 0], (clipped, scores[1]))
    grid = np.array(figure.axes).reshape(2, 3, 4)
    for index, true in enumerate([2, 0]):
        scale = np.percentile(clipped[index], 99.5)
        assert grid[index, 2, 0].texts[0].get_text() == f"white: {scale:.0f}"
        assert [axes.get_ylabel() for axes in grid[index, :, 1]] == ["positive part", "negative part", "clipped"]
        for j, axes in enumerate(grid[index, 2, 1:]):
            np.testing.assert_allclose(drawn(axes), np.clip(clipped[index, j] / scale, 0, 1))
            assert framed(axes) == (j == true) and axes.get_title() == f"{NAMES[j]}\n{scores[1][index, j]:+.1f}"


def test_the_papers_network_is_drawn_with_the_maps_given():
    image, weights = RNG.random((8, 8, 3)), RNG.normal(size=(8, 8, 3))
    for shared, boxes, last in ((False, "decoder\na", "highest"), (True, "layer 15\na", "softmax")):
        axes = plots.class_map_network(image, weights, [1.25, -2.0, 0.5], NAMES, shared).axes[0]
        picture, *pairs = (np.asarray(shown.get_array()) for shown in axes.get_images())
        np.testing.assert_array_equal(picture, image)
        scale = np.percentile(np.abs(weights[..., None, :] * image[..., None]), 99.5)
        for j, (own_weights, product) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
            np.testing.assert_array_equal(own_weights, weights[..., j])
            np.testing.assert_allclose(product, np.clip(weights[..., j, None] * image / scale, 0, 1))
        said = [text.get_text() for text in axes.texts]
        assert {boxes, last, "mean\n+1.2", "mean\n\u22122.0", "a"} <= set(said)
        assert any(text.startswith("shared") for text in said) == shared


def test_the_weight_generating_network_is_drawn_with_its_weights():
    image, weights = RNG.random((8, 8, 3)), RNG.normal(size=(8, 8))
    axes = plots.weight_generating_network(image, weights, -3.21, "truck").axes[0]
    np.testing.assert_array_equal(axes.get_images()[1].get_array(), weights)
    assert axes.get_images()[1].get_clim()[0] == -axes.get_images()[1].get_clim()[1]
    assert "\u22123.2" in [text.get_text() for text in axes.texts]


def test_maps_without_negative_parts_have_one_row_a_picture_and_black_maps_are_drawn_black():
    maps = RNG.random((2, 3, 4, 4, 3))
    assert len(plots.contributions(maps[:, 0], maps, maps.mean((2, 3, 4)), NAMES, [1, 1]).axes) == 8
    nothing = np.zeros((1, 3, 4, 4, 3))
    figure = plots.contributions(nothing[0, :1], nothing, np.zeros((1, 3)), NAMES, [0])
    assert all(drawn(axes).max() == 0 for axes in figure.axes)
    assert drawn(plots.positive_contributions(nothing[0], nothing[0]).axes[1]).max() == 0


def test_positive_contributions_stand_beside_their_pictures():
    images, maps = RNG.random((3, 4, 4, 3)), RNG.normal(size=(3, 4, 4, 3))
    figure = plots.positive_contributions(images, maps, NAMES, columns=2)
    assert len(figure.axes) == 12  # a gap follows each pair
    pairs = np.reshape(figure.axes, (4, 3))[:3]
    for (left, right, _), image, positive, name in zip(pairs, images, np.maximum(maps, 0), NAMES, strict=True):
        np.testing.assert_allclose(drawn(left), image)
        np.testing.assert_allclose(drawn(right), np.clip(positive / np.percentile(positive, 99.5), 0, 1))
        assert left.get_title() == name


def test_a_gradient_of_fewer_places_than_may_saturate_is_drawn_at_full_colour():
    gradient = np.zeros((160, 160, 3), "float32")
    gradient[:4, :4], gradient[80, 80] = 1e-3, -1e-3
    colours = plots.gradient_colours(gradient)
    assert (colours[:4, :4] == 1).all() and (colours[80, 80] == 0).all() and np.median(colours) == 0.5
    assert (plots.gradient_colours(np.zeros((4, 4, 3))) == 0.5).all()


def test_share_bars_are_sorted_and_their_ticks_are_chance():
    axes = plt.figure().subplots()
    plots.share_bars(axes, {"a": 0.1, "b": 0.6, "c": 0.9}, {"a": 0.2, "b": 0.3, "c": 0}, most=2)
    assert [bar.get_width() for bar in axes.patches] == [0.6, 0.1]  # c is not in the picture
    assert [start[0] for start, _ in axes.collections[0].get_segments()] == [0.3, 0.2]


def test_learning_curves_are_the_historys():
    history = {"loss": [3, 2], "validation_loss": [4, 3], "accuracy": [0.5, 0.6], "validation_accuracy": [0.4, 0.7]}
    for axes, name in zip(plots.learning_curves(history).axes, ("loss", "accuracy"), strict=True):
        drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        assert (drawn["training"], drawn["validation"]) == (history[name], history[f"validation_{name}"])


def test_score_intervals_stand_where_the_scores_say():
    rows = {"A": (0.5, 0.4, 0.7, 0.45, 0.55), "B": (0.1, 0.0, 0.2)}
    bands = {"one": (0.15, 0.25), "two": (0, 0)}
    figure = plots.score_intervals(dict.fromkeys(bands, rows), {"A": "#ff0000", "B": "#0000ff"}, bands)
    for axes, band in zip(figure.axes, bands.values(), strict=True):
        at_zero = [[[0, 0], [0, 1]]] if band == (0, 0) else []  # a band without width is a line
        drawn = [[list(values) for values in line.get_data()] for line in axes.lines]
        above = [[[0.4, 0.7], [1, 1]], [[0.5], [1]], [[0.45, 0.55], [1, 1]]]
        assert drawn == [*at_zero, *above, [[0, 0.2], [0, 0]], [[0.1], [0]], [[], []]]
        assert axes.patches[0].get_extents().transformed(axes.transData.inverted()).intervalx == pytest.approx(band)
