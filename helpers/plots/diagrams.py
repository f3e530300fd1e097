"""The GCM paper's Figures 3 to 5, drawn with a real picture and its real maps."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch

from helpers.plots.pictures import highest
from helpers.plots.style import SIGNED, WIDTH

ROWS = (30, 19, 8)  # the middle of each class's row, in units of which the figure is 100 wide
BOX = {"boxstyle": "round,pad=0.1,rounding_size=0.6", "facecolor": "#dce8f4", "edgecolor": "#1f6fb4"}
SIGNS = "(red > 0, blue < 0)"  # the key of a weight map
ARROW = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}


def class_map_network(image, weights, scores, names, shared):
    """Draw GCM from the picture to the answer for three classes: Figure 3, or with `shared` Figure 5.

    image [H, W, 3] in [0, 1]; weights: their Class Weight Maps [H, W, 3]; scores, names: of the same three classes.
    Returns the Figure.
    """
    axes = _sheet(38)
    _thumbnail(axes, image, (5, ROWS[1]), "picture")
    _box(axes, (16, ROWS[1]), (9, 12), "encoder\n\nlayers\n1–10")
    _arrow(axes, (9, ROWS[1]), (11.4, ROWS[1]))
    if shared:
        _box(axes, (26, ROWS[1]), (7, 12), "shared\ndecoder\n\n11–14")
        _arrow(axes, (20.6, ROWS[1]), (22.4, ROWS[1]))
    start = (29.6 if shared else 20.6, ROWS[1])
    axes.plot([5, 5, 59], [ROWS[1] - 4, 1, 1], color="#555555", linewidth=1)
    axes.text(7, 1.6, "the picture", fontsize=9, va="bottom")
    if not shared:
        axes.text(60.5, 1.5, "Maps and scores from\nthe network of Figure 5", fontsize=9, va="center")
    limits = highest(weights), highest(weights[..., None, :] * image[..., None])
    for row, name, score, part in zip(ROWS, names, scores, np.moveaxis(weights, -1, 0), strict=True):
        _box(axes, (38.6, row), (11, 6), f"{'layer 15' if shared else 'decoder'}\n{name}")
        _arrow(axes, start, (32.7, row))
        _class_row(axes, row, image, part, limits, score)
    _answer(axes, names[np.argmax(scores)], shared)
    return axes.figure


def weight_generating_network(image, weights, score, name):
    """Draw Figure 4: a network makes the weights [H, W] of one class for this picture, and their inner product with
    the picture [H, W, 3] is the score. Returns the Figure."""
    axes = _sheet(19)
    _thumbnail(axes, image, (8, 9.5), "picture I")
    _box(axes, (33, 14), (17.5, 5), "network that\ngenerates weights")
    _arrow(axes, (12, 11), (23.8, 14))
    _thumbnail(axes, weights, (53, 10.9), f"weights W of “{name}”\n{SIGNS}", highest(weights))
    _arrow(axes, (41.9, 14), (48.8, 12))
    _box(axes, (73, 10), (14, 5), "inner product\n(W, I) / RCD")
    _arrow(axes, (57.2, 11), (65.8, 10))
    axes.plot([8, 8, 73], [5.5, 2, 2], color="#555555", linewidth=1)
    _arrow(axes, (73, 2), (73, 7.2))
    axes.text(74.5, 3, "RCD: rows × columns × colours", fontsize=9, va="center")
    _arrow(axes, (80.2, 10), (85, 10))
    axes.text(86, 10, _number(score), va="center", fontsize=12)
    return axes.figure


def _class_row(axes, row, image, weights, limits, score):
    """Weight map, product with the picture, contribution map and mean of one class."""
    top = row == ROWS[0]
    _thumbnail(axes, weights, (51, row), f"weights\n{SIGNS}" if top else None, limits[0])
    _arrow(axes, (44.4, row), (46.8, row))
    axes.text(59, row, "⊗", fontsize=16, ha="center", va="center")
    axes.plot([55, 57.4], [row, row], color="#555555", linewidth=1)
    _arrow(axes, (59, 1 if row == ROWS[-1] else row - 9.6), (59, row - 1.4))
    positive = np.clip(weights[..., None] * image / limits[1], 0, 1)
    _thumbnail(axes, positive, (67, row), "contributions\n(shown: > 0)" if top else None)
    _arrow(axes, (60.6, row), (62.8, row))
    _arrow(axes, (71.2, row), (75, row))
    axes.text(75.6, row, f"mean\n{_number(score)}", fontsize=10, va="center")


def _answer(axes, name, shared):
    _box(axes, (91, ROWS[1]), (6, 28), "softmax" if shared else "highest", 9, rotation=90)
    for row in ROWS:
        _arrow(axes, (82.6, row), (87.8, row))
    axes.text(91, 3.4, name, fontsize=10, ha="center", va="top", weight="bold")


def _sheet(height):
    _, axes = plt.subplots(figsize=(WIDTH, WIDTH * height / 100))
    axes.set(xlim=(0, 98), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return axes


def _thumbnail(axes, values, middle, title=None, limit=None):
    """Draw a picture [H, W, 3], or with `limit` a signed map [H, W], 8 units wide."""
    x, y = middle
    options = {"cmap": SIGNED, "vmin": -limit, "vmax": limit} if limit else {}
    axes.imshow(values, extent=(x - 4, x + 4, y - 4, y + 4), **options)
    if title:
        axes.text(x, y + 4.6, title, ha="center", va="bottom", fontsize=9)


def _box(axes, middle, size, text, fontsize=9, rotation=0):
    (x, y), (width, height) = middle, size
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **BOX))
    axes.text(x, y, text, ha="center", va="center", fontsize=fontsize, rotation=rotation)


def _arrow(axes, start, end):
    axes.annotate("", end, start, arrowprops=ARROW)


def _number(score):
    return f"{score:+.1f}".replace("-", "\u2212")
