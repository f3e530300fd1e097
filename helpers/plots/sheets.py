"""Many pictures in one figure: the blog's rows, the paper's figures, galleries."""

import matplotlib.pyplot as plt
import numpy as np

from helpers.plots.charts import score_bars
from helpers.plots.pictures import heat_key, highest, show_credit, show_detail, show_gradient, show_heat, show_image
from helpers.plots.style import WIDTH


def case_row(axes, image, scores, heat_map, guided, class_names, credit=""):
    """Draw the blog's row of four into `axes` [>= 4]: picture, score bars, Grad-CAM, Guided Grad-CAM (section 4.4).

    image: uint8 [H, W, 3]; scores: [N] probabilities; heat_map: Grad-CAM [h, w]; guided: Guided Grad-CAM [H, W, 3].
    """
    show_image(axes[0], image)
    show_credit(axes[0], credit)
    score_bars(axes[1], scores, class_names)
    show_heat(axes[2], heat_map, image=image)
    show_gradient(axes[3], guided)


def contributions(images, maps, scores, class_names, true_classes, clipped=None):
    """Draw Class Contribution Maps as the GCM paper's Figures 6 and 7 do; returns the Figure.

    images [P, H, W, 3] in [0, 1]; maps [P, N, H, W, 3], signed; scores [P, N]. A row a picture for the positive parts
    and, where any map is negative, one below for the negative parts; each class with its score, a red frame on the
    true class. clipped: (maps, scores) of a second network, a further row a picture. One scale a picture and network,
    linear and clipped at the maps' 99.5th percentile, so that brightness compares classes: on the left stands the
    contribution that is drawn white.
    """
    kinds = [
        ("positive part", 1, maps, scores),
        *([("negative part", -1, maps, None)] if np.min(maps) < 0 else []),
        *([("clipped", 1, *clipped)] if clipped else []),
    ]
    size = (WIDTH, 0.3 + len(images) * (0.77 * len(kinds) + (0.65 if clipped else 0.33)))
    shape = len(kinds) * len(images), len(class_names) + 1
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="compressed")
    for index, rows in enumerate(np.split(axes, len(images))):
        true = true_classes[index]
        for row, (kind, sign, some, own) in zip(rows, kinds, strict=True):
            scale = highest(some[index])
            _class_maps(row[1:], sign * some[index] / scale, class_names, None if own is None else own[index], true)
            row[1].set_ylabel(kind, fontsize=8)
            row[0].axis("off")
            if some is not maps:
                row[0].text(0.5, 0.5, f"white: {scale:.0f}", fontsize=8, ha="center", transform=row[0].transAxes)
        show_image(rows[0, 0], images[index])
        rows[0, 0].set_title(f"{class_names[true]}\nwhite: {highest(maps[index]):.0f}", fontsize=8)
    white = f"{highest(maps[0]):.0f}"
    note = f"“white: {white}”: a contribution of {white} is drawn white; red frame: the true class"
    figure.supxlabel(note, fontsize=9)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.02)
    return figure


def _class_maps(row, maps, class_names, scores, true):
    """Draw the positive parts of maps [N, H, W, 3] into `row`, the true class framed, over each its score if given."""
    for axes, contribution in zip(row, maps, strict=True):
        show_image(axes, np.maximum(contribution, 0))
    row[true].spines[:].set(visible=True, color="#d62728", linewidth=2.5)
    if scores is not None:
        for axes, name, score in zip(row, class_names, scores, strict=True):
            axes.set_title(f"{name}\n{score:+.1f}".replace("-", "\u2212"), fontsize=8)


def positive_contributions(images, maps, titles=None, columns=4):
    """Draw pictures [P, H, W, 3] in [0, 1], each beside the positive part of a map [P, H, W, 3] (Figure 8).

    Each map is scaled by its own 99.5th percentile: brightness compares places in a picture, not pictures.
    Returns the Figure.
    """
    rows, gap = -(-len(images) // columns), 0.2  # of a picture's width, between the pairs
    size = WIDTH, 0.3 + rows * (WIDTH / (2 + gap) / columns + 0.2)
    figure, axes = _sheet(rows, 3 * columns, size, width_ratios=[1, 1, gap] * columns)
    for index, (left, right, _) in enumerate(axes.reshape(-1, 3)[: len(images)]):
        positive = np.maximum(maps[index], 0)
        show_image(left, images[index])
        left.set_title(titles[index] if titles else "", fontsize=8, x=1)
        show_image(right, positive / highest(positive))
    figure.get_layout_engine().set(w_pad=0.01, wspace=0)
    figure.supxlabel("left: picture; right: positive contributions to its class (black: none)", fontsize=9)
    return figure


def map_gallery(images, maps, rows=None):
    """Draw pictures [P, H, W, 3] and beside each its maps; returns the Figure.

    maps: {method: [P, h, w], >= 0, or [P, H, W, 3], signed}; a map on the heat scale up to its own 99.5th percentile,
    a gradient as `show_gradient` does. rows: a title for each picture.
    """
    columns = len(maps) // 2 + 1
    figure, axes = _sheet(2 * len(images), columns, (WIDTH, 2 * len(images) * (WIDTH / columns + 0.42)))
    for index, places in enumerate(axes.reshape(len(images), -1)):
        show_image(places[0], images[index], rows[index] if rows else None)
        for place, (name, drawn) in zip(places[1:], maps.items(), strict=False):
            if np.ndim(drawn) == 4:
                show_gradient(place, drawn[index], name)
            else:
                show_heat(place, drawn[index], name, vmax=np.percentile(drawn[index], 99.5))
    for axis in axes.flat:
        axis.title.set_fontsize(9)
    return figure


def show_grid(images, titles=None, columns=8, size=1.2, rows=()):
    """Draw pictures [N, H, W, 3] on a sheet; rows: a name for each row, on its left; returns the Figure."""
    height = -(-len(images) // columns)
    figure, axes = _sheet(height, columns, (columns * size, height * size * (1.2 if titles else 1.0)))
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        show_image(axis, image, titles[index] if titles else None)
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.axis("on")
        axis.set_ylabel(name, fontsize=10)
    return figure


def _sheet(rows, columns, size, **options):
    """A figure of that size in inches, and its axes [rows, columns], all without frame and ticks."""
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    for axis in axes.flat:
        axis.axis("off")
    return figure, axes


def asked_for(image, explained, credit=""):
    """Draw a photograph and, a row a class that was asked for, its Grad-CAM and Guided Grad-CAM; returns the Figure.

    image: uint8 [H, W, 3]; explained: (heat map [h, w], >= 0, gradient [H, W, 3], the row's title), two of them.
    """
    figure = plt.figure(figsize=(WIDTH, 4.3))
    grid = figure.add_gridspec(len(explained), 4)
    photograph = figure.add_subplot(grid[:, :2])
    show_image(photograph, image, "photograph")
    show_credit(photograph, credit, width=70)
    for row, (heat_map, gradient, title) in enumerate(explained):
        left, right = (figure.add_subplot(grid[row, column]) for column in (2, 3))
        show_heat(left, heat_map, None if row else "Grad-CAM", image=image)
        show_detail(right, gradient, None if row else "Guided Grad-CAM")
        left.set_ylabel(title)
    right.set_xlabel("dark: strong", fontsize=9)
    heat_key(figure)
    return figure
