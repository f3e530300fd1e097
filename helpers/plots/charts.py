"""Bars, curves and tables, each drawn into an `Axes` or a `Figure`."""

import matplotlib.pyplot as plt
import numpy as np

from helpers.plots.style import CLASS_COLOURS, WIDTH


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


def confusion_matrix(axes, counts, class_names, title=None):
    """Draw counts [N, N], rows the true class and columns the predicted one; the shade is the share of the row."""
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            str(count),
            ha="center",
            va="center",
            fontsize=15,
            color="white" if shares[row, column] > 0.5 else "black",
        )
    places = range(len(class_names))
    axes.set(
        xticks=places,
        yticks=places,
        xticklabels=class_names,
        yticklabels=class_names,
        xlabel="predicted",
        ylabel="true",
    )
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
