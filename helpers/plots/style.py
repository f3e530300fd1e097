"""One look for all figures, and how they are stored: small, and only where they changed."""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy import ndimage

from helpers import paths

CLASS_COLOURS = {"okonomiyaki": "#7a4a2b", "takoyaki": "#7a4a2b", "pizza": "#c8352b"}
HEAT = "inferno"  # perceptually even; the blog's own look is "jet"
SIGNED = "RdBu_r"  # signed maps, centred on zero
COLOURS = 192  # of a stored figure; all figures together stay below 6 MB
WIDTH = 9.0  # inches; 640 px in a blog column stays readable
PATTERN = np.array([[-1.1, 0.4], [1.1, -0.4]])  # grey levels, Bayer's 2x2
SMOOTH_COSTS = 1.2  # at most: how much larger the file may become for it
SAME = 10.0  # grey levels of 255: by less, a stored figure is not written anew

plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "figure.titlesize": 13})
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 100, "figure.constrained_layout.use": True})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest"})


def save_figure(name, figure=None):
    """Write `figure` (default: the current one) to figures/<name>.png, in few colours, and return it.

    A stored figure is left as it is where it shows the same, as `shows` says: rounding, which is another on another
    machine, rewrites no file.
    """
    figure, drawn = figure or plt.gcf(), io.BytesIO()
    figure.savefig(drawn, format="png")
    path, data = paths.FIGURES / f"{name}.png", in_few_colours(drawn.getvalue())
    if not (path.exists() and shows(path.read_bytes(), data)):
        paths.FIGURES.mkdir(exist_ok=True)
        with paths.whole(path) as part:
            part.write_bytes(data)
    return figure


def in_few_colours(png):
    """The bytes of a PNG picture as those of one in few colours, about a third of them; white stays white.

    Where that puts colours on average (root mean square) more than a grey level off, a fine pattern keeps smooth shades
    smooth, if the file grows by no more than SMOOTH_COSTS: in photographs it does not.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few, pixels = _quantised(picture), _pixels(picture)
    plain = _png(few)
    if np.sqrt(np.mean((_pixels(few) - pixels) ** 2)) < 1:
        return plain
    height, width = pixels.shape[:2]
    pattern = np.tile(PATTERN, (height // 2 + 1, width // 2 + 1))[:height, :width, None]
    pixels = np.where((pixels == 255).all(-1, keepdims=True), pixels, np.clip(pixels + pattern, 0, 255))
    smooth = _png(_quantised(Image.fromarray(pixels.round().astype(np.uint8))))
    return smooth if len(smooth) < SMOOTH_COSTS * len(plain) else plain


def shows(stored, new):
    """Whether the mean colour of no 4x4 pixels differs by more than SAME in two pictures, given as files' bytes."""
    stored, new = (_pixels(Image.open(io.BytesIO(data))) for data in (stored, new))
    if stored.shape != new.shape:
        return False
    return bool(np.abs(ndimage.uniform_filter(stored - new, (4, 4, 0))).max() <= SAME)


def _quantised(picture):
    settled = picture.width * picture.height // 32  # k-means ends when fewer pixels change their colour; 8 times faster
    return picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=settled, dither=Image.Dither.NONE)


def _png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _pixels(picture):
    return np.asarray(picture.convert("RGB"), float)
