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
WIDTH = 9.0  # inches; 640 px in a blog column stays readable
SAME = 10.0  # grey levels of 255: by less, a stored figure is not written anew

plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "figure.titlesize": 13})
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 110, "figure.constrained_layout.use": True})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest"})


def save_figure(name, figure=None):
    """Write `figure` (default: the current one) to figures/<name>.png, or .jpg for photographs, and return it.

    A stored figure is left as it is where it shows the same, as `shows` says: rounding, which is another on another
    machine, rewrites no file.
    """
    figure, drawn = figure or plt.gcf(), io.BytesIO()
    figure.savefig(drawn, format="png")
    suffix, data = compact(drawn.getvalue())
    path, other = (paths.FIGURES / f"{name}{end}" for end in (suffix, *({".png", ".jpg"} - {suffix})))
    if not (path.exists() and shows(path.read_bytes(), data)):
        paths.FIGURES.mkdir(exist_ok=True)
        with paths.whole(path) as part:
            part.write_bytes(data)
    other.unlink(missing_ok=True)
    return figure


def compact(png):
    """The bytes of a PNG picture in a third of the room: (".png", in 256 colours) where that is enough, else a JPEG.

    It is enough for drawings, whose colours are on average (root mean square) less than one grey level off then.
    """
    picture, file = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    if np.sqrt(np.mean((_pixels(few) - _pixels(picture)) ** 2)) < 1:
        few.save(file, "PNG", optimize=True)
        return ".png", file.getvalue()
    picture.save(file, "JPEG", quality=85, subsampling=0, optimize=True)
    return ".jpg", file.getvalue()


def shows(stored, new):
    """Whether the mean colour of no 4x4 pixels differs by more than SAME in two pictures, given as files' bytes."""
    stored, new = (_pixels(Image.open(io.BytesIO(data))) for data in (stored, new))
    if stored.shape != new.shape:
        return False
    means = ndimage.uniform_filter(stored - new, (4, 4, 0))
    return bool(np.abs(means).max() <= SAME)


def _pixels(picture):
    return np.asarray(picture.convert("RGB"), float)
