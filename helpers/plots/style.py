"""One look for all figures, and how they are stored: in 256 colours, and only where they changed."""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from helpers import paths

CLASS_COLOURS = {"okonomiyaki": "#7a4a2b", "takoyaki": "#7a4a2b", "pizza": "#c8352b"}
HEAT = "inferno"  # perceptually even; the blog's own look is "jet"
SIGNED = "RdBu_r"  # signed maps, centred on zero
WIDTH = 9.0  # inches; 640 px in a blog column stays readable
SAME = 8.0  # grey levels, as a distance in RGB: by so much may a stored figure differ from what it would be anew

plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "figure.titlesize": 13})
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 110, "figure.constrained_layout.use": True})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest"})


def save_figure(name, figure=None):
    """Write `figure` (default: the current one) to figures/<name>.png and return it.

    A stored figure is left as it is where it shows the same, as `shows` says: rounding, which is another on another
    machine, rewrites no file.
    """
    figure = figure or plt.gcf()
    path, drawn = paths.FIGURES / f"{name}.png", io.BytesIO()
    figure.savefig(drawn, format="png")
    if not (path.exists() and shows(path.read_bytes(), drawn.getvalue())):
        paths.FIGURES.mkdir(exist_ok=True)
        with paths.whole(path) as part:
            part.write_bytes(in_256_colours(drawn.getvalue()))
    return figure


def in_256_colours(png):
    """The bytes of a PNG picture as those of one in at most 256 colours, white among them, not dithered: a third."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    found = picture.quantize(255, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE).getpalette()
    palette = np.unique([*np.reshape(found, (-1, 3)), (255, 255, 255)], axis=0)
    _, nearest = _nearest(palette, np.asarray(picture))
    stored, file = Image.fromarray(nearest.astype(np.uint8), "P"), io.BytesIO()
    stored.putpalette(palette.astype(np.uint8).ravel().tolist())
    stored.save(file, "PNG", optimize=True)
    return file.getvalue()


def shows(stored, png):
    """Whether `stored`, a picture in a palette, shows what `png` does (both the bytes of PNG files).

    It does where no pixel's colour is further from the one in `png` than the palette's nearest colour is, give or take
    SAME: so `in_256_colours` shows its picture, and every picture whose pixels differ from that by at most SAME / 2.
    """
    stored, picture = (Image.open(io.BytesIO(data)) for data in (stored, png))
    if stored.mode != "P" or stored.size != picture.size:
        return False
    pixels, shown = np.asarray(picture.convert("RGB")), np.asarray(stored.convert("RGB"))
    least, _ = _nearest(np.reshape(stored.getpalette(), (-1, 3)), pixels)
    return bool((np.linalg.norm(pixels.astype(float) - shown, axis=-1) <= least + SAME).all())


def _nearest(palette, pixels):
    """The distance to the nearest colour of a palette [N, 3], and its number, for pixels [H, W, 3]: two [H, W]."""
    colours, place = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    distance, number = KDTree(palette).query(colours)
    return distance[place].reshape(pixels.shape[:2]), number[place].reshape(pixels.shape[:2])
