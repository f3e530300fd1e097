"""Bars, curves and tables, each drawn into an `Axes` or a `Figure`."""

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from matplotlib.ticker import MaxNLocator

from helpers.plots.style import CLASS_COLOURS, CLASS_HATCHES, WIDTH, literal


def table(columns, rows):
    """A notebook's table: the columns' names, and a list of cells for each row; a value is shown by its `str`."""
    lines = [columns, ["---"] * len(columns), *rows]
    return Markdown("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(value):
    """A value as a table's cell: on one line, and no | in it ends the cell, as one in a folder's name would."""
    return " ".join(str(value).split("\n")).replace("|", "\\|")


def score_bars(axes, scores, class_names, title=None):
    """Draw class probabilities [N] as horizontal bars, each with its class's colour and hatching."""
    look = {"color": [CLASS_COLOURS.get(name, "#555555") for name in class_names], "edgecolor": "white", "linewidth": 0}
    look["hatch"] = [CLASS_HATCHES.get(name, "") for name in class_names]
    _bars(axes, list(map(literal, class_names)), scores, look, 0.55, (0.02, 0.42), 9)
    axes.set(title=title, xlim=(0, 1), ylim=(len(scores) - 0.4, -0.75), xticks=[0, 0.5, 1])
    return axes


def share_bars(axes, shares, areas, title=None, most=5):
    """Draw where a map's energy lies: {part: share} as bars, {part: share of the picture} (chance) as black ticks."""
    names = sorted((name for name in shares if areas[name] > 0), key=shares.get, reverse=True)[:most]
    texts, lengths = [name.replace("_", " ") for name in names], [shares[name] for name in names]
    places = _bars(axes, texts, lengths, {"color": "#c9a227"}, 0.4, (0.01, 0.22), 8)
    axes.vlines([areas[name] for name in names], places - 0.21, places + 0.21, color="black", linewidth=2)
    axes.set(title=title, xlim=(0, 1), ylim=(most - 0.4, -0.8), xticks=[0, 0.5, 1])
    axes.xaxis.set_major_formatter("{x:.0%}")
    return axes


def _bars(axes, names, lengths, look, height, text_at, fontsize):
    """Draw named bars from the top; look: options of `barh`; text_at: how far a name stands right of the axis and above
    its bar's middle."""
    places = np.arange(len(lengths))
    axes.barh(places, lengths, height=height, **look)
    for place, name, length in zip(places, names, lengths, strict=True):
        axes.text(text_at[0], place - text_at[1], f"{name}  {length:.0%}", va="bottom", fontsize=fontsize)
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    axes.spines["left"].set_visible(False)
    return places


def confusion_matrix(axes, counts, class_names, title=None):
    """Draw counts [N, N], rows the true class and columns the predicted one; the shade is the share of the row."""
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=15, color=colour)
    for axis, label in ((axes.xaxis, "predicted"), (axes.yaxis, "true")):
        axis.set_ticks(range(len(class_names)), map(literal, class_names))
        axis.set_label_text(label)
    axes.set_title(title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def learning_curves(history, best_epoch=None):
    """Draw loss and accuracy over the epochs, for two classes; returns the Figure.

    history: {"loss", "accuracy", "validation_loss", "validation_accuracy": [epochs]}; best_epoch (from 1) is marked.
    """
    figure, both = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
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
    both[1].axhline(0.5, color="black", linewidth=1, linestyle="--", label="guessing")
    figure.legend(*both[1].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=4)
    return figure


def score_intervals(scores, colours, bands):
    """Draw one panel per score, one row per method: the mean as a dot, its interval as a line; returns the Figure.

    scores: {score: {method: (mean, low, high, *single networks, each a tick)}}; colours: {method: colour}, which also
    sets the order from the top; bands: {score: (low, high)}, what controls without a network reach, as a grey band.
    """
    figure, panels = plt.subplots(1, len(scores), figsize=(WIDTH, 0.9 + 0.27 * len(colours)), sharey=True)
    places = {method: len(colours) - 1 - place for place, method in enumerate(colours)}
    for axes, (score, rows) in zip(panels, scores.items(), strict=True):
        axes.axvspan(*bands[score], color="#d9d9d9", linewidth=2, zorder=0)
        if np.ptp(bands[score]) == 0:
            axes.axvline(bands[score][0], color="black", linewidth=0.8, zorder=0)
        for method, (mean, low, high, *single) in rows.items():
            axes.plot([low, high], [places[method]] * 2, color=colours[method], linewidth=3, alpha=0.5)
            axes.plot(mean, places[method], "o", color=colours[method], markersize=7)
            axes.plot(single, [places[method]] * len(single), "|", color=colours[method], markersize=10)
        axes.set(yticks=list(places.values()), yticklabels=list(places), ylim=(-0.6, len(colours) - 0.4))
        axes.set_title(score, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2.5, 5, 10]))
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure
