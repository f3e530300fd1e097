"""One look for all figures, and how they are stored."""

import matplotlib.pyplot as plt
from PIL import Image

from helpers import paths

CLASS_COLOURS = {"okonomiyaki": "#7a4a2b", "takoyaki": "#7a4a2b", "pizza": "#c8352b"}
HEAT = "inferno"  # perceptually even; the blog's own look is "jet"
SIGNED = "RdBu_r"  # signed maps, centred on zero
WIDTH = 9.0  # inches; 640 px in a blog column stays readable
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
