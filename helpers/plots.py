"""Every picture of the project, in one look. Arrays in, `Axes` or `Figure` out."""

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from helpers import paths

CLASS_COLOURS = {"okonomiyaki": "#7a4a2b", "takoyaki": "#7a4a2b", "pizza": "#c8352b"}
HEAT = "inferno"      # perceptually even; the blog's own look is "jet"
SIGNED = "RdBu_r"     # signed maps, centred on zero
WIDTH = 9.0           # inches; 640 px in a blog column stays readable
LARGEST_FIGURE = 400_000  # bytes

STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "figure.titlesize": 13,
    "figure.dpi": 100,
    "savefig.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
}
plt.rcParams.update(STYLE)


def save_figure(name, figure=None):
    """Write `figure` (default: the current one) to figures/<name>.png and return it.

    A file above LARGEST_FIGURE, which only sheets of photos reach, is stored in 256 dithered colours, or 128.
    """
    figure = figure or plt.gcf()
    paths.FIGURES.mkdir(exist_ok=True)
    path = paths.FIGURES / f"{name}.png"
    figure.savefig(path)
    with Image.open(path) as stored:
        picture = stored.convert("RGB")
    for colours in (256, 128):
        if path.stat().st_size > LARGEST_FIGURE:
            palette = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=10_000)  # until so few change
            picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    return figure


def show_image(axes, image, title=None):
    """Draw one picture, uint8 or float in [0, 1], [H, W, 3], without ticks."""
    axes.imshow(np.clip(image, 0, 1) if np.issubdtype(np.asarray(image).dtype, np.floating) else image)
    return _bare(axes, title)


def show_heat(axes, heat_map, title=None, image=None, vmax=None, cmap=HEAT, alpha=0.55, smooth=True):
    """Draw a non-negative map [h, w], over `image` [H, W, 3] where one is given; returns the drawn AxesImage.

    The map is up-sampled to the picture bilinearly (half-pixel centres), or with smooth=False drawn as the squares it
    is made of; `vmax` defaults to its own maximum.
    """
    if image is not None:
        show_image(axes, image)
    height, width = (image if image is not None else heat_map).shape[:2]
    drawn = axes.imshow(heat_map, cmap=cmap, vmin=0, vmax=vmax or float(np.max(heat_map)) or 1.0,
                        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                        interpolation="bilinear" if smooth else "nearest",
                        alpha=alpha if image is not None else 1.0)
    _bare(axes, title)
    return drawn


def show_signed(axes, signed_map, title=None, vmax=None):
    """Draw a signed map [h, w] on a diverging scale centred on zero; returns the drawn AxesImage."""
    limit = vmax or float(np.abs(signed_map).max()) or 1.0
    drawn = axes.imshow(signed_map, cmap=SIGNED, vmin=-limit, vmax=limit)
    _bare(axes, title)
    return drawn


def show_gradient(axes, gradient, title=None):
    """Draw a signed gradient [H, W, 3] as a picture: grey is zero; the strongest 0.5 % are drawn at full colour."""
    return show_image(axes, gradient_colours(gradient), title)


def gradient_colours(gradient):
    """A signed gradient [H, W, C] as a picture, float in [0, 1]: 0.5 is zero, the strongest 0.5 % saturate."""
    limit = _limit(gradient)
    return np.clip(0.5 + 0.5 * np.asarray(gradient, float) / limit, 0, 1)


def score_bars(axes, scores, class_names, title=None):
    """Draw class probabilities [N] as horizontal bars, each in its class's colour."""
    places = np.arange(len(scores))
    axes.barh(places, scores, color=[CLASS_COLOURS.get(name, "#555555") for name in class_names], height=0.55)
    for place, name, score in zip(places, class_names, scores, strict=True):
        axes.text(0.02, place - 0.42, f"{name}  {score:.0%}", va="bottom", fontsize=9)
    axes.set(xlim=(0, 1), ylim=(len(scores) - 0.4, -0.75), xticks=[0, 0.5, 1], yticks=[])
    axes.tick_params(labelsize=8)
    axes.spines["left"].set_visible(False)
    if title:
        axes.set_title(title)
    return axes


def share_bars(axes, shares, areas, title=None, most=5):
    """Draw where a map's energy lies: {part: share} as bars, {part: share of the picture} (chance) as black ticks."""
    names = sorted((name for name in shares if areas[name] > 0), key=shares.get, reverse=True)[:most]
    places = np.arange(len(names))
    axes.barh(places, [shares[name] for name in names], color="#c9a227", height=0.5)
    axes.vlines([areas[name] for name in names], places - 0.26, places + 0.26, color="black", linewidth=2)
    for place, name in zip(places, names, strict=True):
        axes.text(0.01, place - 0.32, f"{name.replace('_', ' ')}  {shares[name]:.0%}", va="bottom", fontsize=8)
    highest = max([shares[name] for name in names] + [areas[name] for name in names], default=1)
    axes.set(xlim=(0, max(0.5, highest * 1.05)), ylim=(most - 0.4, -0.8), yticks=[])
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(labelsize=8)
    axes.spines["left"].set_visible(False)
    if title:
        axes.set_title(title)
    return axes


def case_row(axes, image, scores, heat_map, guided, class_names, credit=""):
    """Draw the blog's row of four into `axes` [>= 4]: picture, score bars, Grad-CAM, Guided Grad-CAM (section 4.4).

    image: uint8 [H, W, 3]; scores: [N] probabilities; heat_map: Grad-CAM [h, w]; guided: Guided Grad-CAM [H, W, 3].
    """
    show_image(axes[0], image)
    axes[0].set_xlabel(credit, fontsize=7)
    score_bars(axes[1], scores, class_names)
    show_heat(axes[2], heat_map, image=image)
    show_gradient(axes[3], guided)


def confusion_matrix(axes, counts, class_names, title=None):
    """Draw counts [N, N], rows the true class and columns the predicted one; the shade is the share of the row."""
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, str(count), ha="center", va="center", fontsize=15,
                  color="white" if shares[row, column] > 0.5 else "black")
    places = range(len(class_names))
    axes.set(xticks=places, yticks=places, xticklabels=class_names, yticklabels=class_names,
             xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title)
    return axes


def learning_curves(history, best_epoch=None):
    """Draw loss and accuracy over the epochs; returns the Figure.

    history: {"loss", "accuracy", "validation_loss", "validation_accuracy": [epochs]}; best_epoch (from 1) is marked.
    """
    figure, both = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    for axes, name in zip(both, ("loss", "accuracy"), strict=True):
        epochs = np.arange(1, len(history[name]) + 1)
        marker = "o" if len(epochs) < 10 else None
        axes.plot(epochs, history[name], color="#8c8c8c", marker=marker, label="training")
        axes.plot(epochs, history[f"validation_{name}"], color="#1f6fb4", marker=marker, label="validation")
        if best_epoch:
            axes.axvline(best_epoch, color="black", linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
    both[0].set_ylim(bottom=0)
    both[1].legend(frameon=False)
    return figure


def contributions(images, maps, scores, class_names, true_classes):
    """Draw Class Contribution Maps as the GCM paper's Figures 6 and 7 do; returns the Figure.

    images [P, H, W, 3] in [0, 1]; maps [P, N, H, W, 3], signed; scores [P, N]. A row a picture for the positive parts
    and, where any map is negative, one below for the negative parts; each class with its score, a red frame on the
    true class. One scale a picture, linear and clipped at the maps' 99.5th percentile, so that brightness compares
    classes: over the picture stands the contribution that is drawn white.
    """
    signs = (1, -1) if np.min(maps) < 0 else (1,)
    figure, axes = plt.subplots(len(signs) * len(images), len(class_names) + 1, squeeze=False,
                                figsize=(WIDTH, (0.95 * len(signs) + 0.25) * len(images)))
    for index, rows in enumerate(np.split(axes, len(images))):
        scale = _limit(maps[index])
        show_image(rows[0, 0], images[index])
        rows[0, 0].set_title(f"{class_names[true_classes[index]]}\nwhite: {scale:.0f}", fontsize=8)
        for row, sign in zip(rows, signs, strict=True):
            for axis, contribution in zip(row[1:], maps[index], strict=True):
                show_image(axis, np.maximum(sign * contribution, 0) / scale)
            _frame(row[true_classes[index] + 1])
        for axis, name, score in zip(rows[0, 1:], class_names, scores[index], strict=True):
            axis.set_title(f"{name}\n{_signed(score)}", fontsize=8)
        for axis in rows[1:, 0]:
            axis.axis("off")
            axis.text(0.5, 0.5, "above: +\nhere: \u2212", fontsize=8, ha="center", va="center",
                      transform=axis.transAxes)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.01, hspace=0.02)
    return figure


def positive_contributions(images, maps, titles=None, columns=4):
    """Draw pictures [P, H, W, 3] in [0, 1], each beside the positive part of a map [P, H, W, 3] (Figure 8).

    Each map is scaled by its own 99.5th percentile: brightness compares places in a picture, not pictures.
    Returns the Figure.
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=(WIDTH, rows * (WIDTH / 2 / columns + 0.3)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for index, image in enumerate(images):
        left, right = axes[index // columns, 2 * (index % columns):][:2]
        positive = np.maximum(maps[index], 0)
        show_image(left, image)
        left.set_title(titles[index] if titles else "", fontsize=8)
        show_image(right, positive / _limit(positive))
    return figure


def _limit(values):
    """The 99.5th percentile of the magnitudes; where fewer are above zero, the highest; 1 where none is."""
    magnitudes = np.abs(values)
    return float(np.percentile(magnitudes, 99.5) or magnitudes.max() or 1)


def _signed(number):
    return f"{number:+.1f}".replace("-", "\u2212")


def _frame(axes, colour="#d62728"):
    axes.spines[:].set(visible=True, color=colour, linewidth=2.5)


def map_gallery(images, maps, rows=None):
    """Draw pictures [P, H, W, 3] and beside each its maps; returns the Figure.

    maps: {method: [P, h, w], >= 0, or [P, H, W, 3], signed}; a map on the heat scale up to its own 99.5th percentile,
    a gradient as `show_gradient` does. rows: a title for each picture.
    """
    columns = -(-(len(maps) + 1) // 2)
    figure, axes = plt.subplots(2 * len(images), columns, figsize=(WIDTH, 2 * len(images) * (WIDTH / columns + 0.25)),
                                squeeze=False)
    for index, image in enumerate(images):
        places = axes[2 * index:2 * index + 2].ravel()
        for place in places:
            place.axis("off")
        show_image(places[0], image, rows[index] if rows else None)
        for place, (name, drawn) in zip(places[1:], maps.items(), strict=False):
            if np.ndim(drawn) == 4:
                show_gradient(place, drawn[index], name)
            else:
                show_heat(place, drawn[index], name, vmax=np.percentile(drawn[index], 99.5))
    for title in (axis.title for axis in axes.flat):
        title.set_fontsize(9)
    return figure


def score_intervals(scores, groups, chance=None):
    """Draw one panel a score, one row a method: the mean as a dot, its interval as a line; returns the Figure.

    scores: {score: {method: (mean, low, high)}}; groups: {method: colour}, which also sets the order from the top;
    chance: {score: value}, drawn as a dotted line.
    """
    figure, panels = plt.subplots(1, len(scores), figsize=(WIDTH, 0.6 + 0.3 * len(groups)), sharey=True, squeeze=False)
    places = {method: len(groups) - 1 - place for place, method in enumerate(groups)}
    for axes, (score, rows) in zip(panels[0], scores.items(), strict=True):
        for method, (mean, low, high) in rows.items():
            axes.plot([low, high], [places[method]] * 2, color=groups[method], linewidth=2, alpha=0.6)
            axes.plot(mean, places[method], "o", color=groups[method], markersize=6)
        if chance and score in chance:
            axes.axvline(chance[score], color="black", linewidth=1, linestyle=":")
        axes.set(title=score, yticks=list(places.values()), yticklabels=list(places), ylim=(-0.6, len(groups) - 0.4))
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def score_curves(axes, fractions, curves, title=None, controls=()):
    """Draw the mean of curves {method: [B, K]} over fractions [K], in percent of the picture; `controls` are dashed."""
    greys = iter(np.linspace(0, 0.75, len(controls)))
    for method, rows in curves.items():
        style = {"color": str(next(greys)), "linestyle": "--"} if method in controls else {}
        axes.plot(100 * fractions, np.mean(rows, axis=0), marker="o", markersize=3, label=method, **style)
    axes.set(xlabel="pixels changed, %", ylim=(0, 1.02))
    if title:
        axes.set_title(title)
    return axes


def show_grid(images, titles=None, columns=8, size=1.2):
    """Draw pictures [N, H, W, 3] on a sheet; returns the Figure."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * size, rows * size * (1.2 if titles else 1.0)),
                                squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        show_image(axis, image, titles[index] if titles else None)
    return figure


def _bare(axes, title):
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title)
    return axes
