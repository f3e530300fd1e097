"""One look for all figures, and how they are stored: small, with their words, and only where they changed."""

import base64
import dataclasses
import html
import importlib.util
import io
import os
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from PIL import Image, PngImagePlugin
from scipy import ndimage
from scipy.spatial import cKDTree

from helpers import paths
from helpers.plots import japanese

CLASS_COLOURS = {"okonomiyaki": "#123a63", "takoyaki": "#123a63", "pizza": "#d95f02"}  # dark blue, light orange
CLASS_HATCHES = {"okonomiyaki": "//", "takoyaki": "//"}  # a second mark beside the colour: pizza has none
HEAT = "inferno"  # perceptually even; the blog's own look is "jet"
SIGNED = "RdBu_r"  # signed maps, centred on zero
COLOURS = 191  # of a stored figure, beside white and the 64 of KEYS; all figures together stay below 6 MB
KEYS = [plt.get_cmap(name)(np.linspace(0, 1, count), bytes=True)[:, :3] for name, count in ((HEAT, 38), (SIGNED, 24))]
KEYS += [np.uint8([[round(255 * part) for part in to_rgb(colour)]]) for colour in sorted({*CLASS_COLOURS.values()})]
WIDTH = 9.0  # inches; 640 px in a blog column stays readable
PATTERN = np.array([[-1.1, 0.4], [1.1, -0.4]])  # grey levels, Bayer's 2x2
RARE = 0.5  # a colour of n pixels counts n**RARE times in the choice of a figure's colours
SMOOTH_COSTS = 1.2  # how many times as large a dithered file may be, at most
BANDS = 5.7  # grey levels: by so much the mean of 8x8 pixels may be off, in 99 % of a figure
STEP = 255 / 25  # grey levels between the values of a channel where few colours are too few
SAME = 12.0  # grey levels of 255: by less, a stored figure is not written anew
UNTRANSLATED = "untranslated.txt"  # beside Japanese figures: what stayed English in them, a line a figure

# DejaVu has no Japanese letters; importing matplotlib_fontja would change every figure
JAPANESE_FONT = Path(importlib.util.find_spec("matplotlib_fontja").origin).with_name("fonts") / "ipaexg.ttf"
font_manager.fontManager.addfont(JAPANESE_FONT)
_regular = next(font for font in font_manager.fontManager.ttflist if font.name == "IPAexGothic")
font_manager.fontManager.ttflist.append(dataclasses.replace(_regular, weight=700))  # bold is the same
plt.rcParams["font.family"] = ["DejaVu Sans", "IPAexGothic"]
plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "figure.titlesize": 13})
plt.rcParams.update({"figure.dpi": 100, "savefig.dpi": 100, "figure.constrained_layout.use": True})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
plt.rcParams.update({"hatch.linewidth": 0.9, "svg.hashsalt": "figures"})  # the same SVG file every time
SHOWN = re.compile('<img alt="([^"]*)" src="data:image/png;base64,([^"]*)">')


class Shown:
    """A PNG picture with a text alternative, as SHOWN reads it; in a terminal the alternative alone."""

    def __init__(self, png, alt):
        self.png, self.alt = png, alt

    def __repr__(self):
        return self.alt

    def _repr_html_(self):
        return f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{base64.b64encode(self.png).decode()}">'


def literal(text):
    """A text that Matplotlib shows as it is: $ begins no formula."""
    return text.replace("$", r"\$")


def save_figure(name, figure=None, alt=""):
    """Show `figure` (default: the current one) once, with the text alternative, and write it to figures/<name>.png.

    alt: what is to be seen, in one sentence; the file carries it as well. It is shown as an HTML picture: JupyterLab
    gives no other output of a cell a text alternative. A stored figure is left as it is where it shows the same, as
    `shows` says: rounding, which is another on another machine, rewrites no file. The environment may ask for Japanese
    labels (FIGURES_LANGUAGE=ja) and for vectors (FIGURES_FORMAT=svg), as `make figures` does.
    """
    figure, drawn, alt = figure or plt.gcf(), io.BytesIO(), alt or f"figure {name}"
    paths.FIGURES.mkdir(parents=True, exist_ok=True)
    if os.environ.get("FIGURES_LANGUAGE") == "ja" and (left := japanese.translate(figure)):
        with (paths.FIGURES / UNTRANSLATED).open("a", encoding="utf-8") as listed:
            listed.write(f"{name}: {', '.join(left)}\n")
    figure.savefig(drawn, format="png")
    png = in_few_colours(drawn.getvalue(), alt)
    if os.environ.get("FIGURES_FORMAT") == "svg":
        with paths.whole(paths.FIGURES / f"{name}.svg") as part:
            figure.savefig(part, format="svg", metadata={"Title": alt, "Date": None})
    else:
        _store(paths.FIGURES / f"{name}.png", png)
    display(Shown(png, alt))
    plt.close(figure)  # else the cell shows it a second time


def _store(path, png):
    if path.exists():
        stored = path.read_bytes()
        if description(path) == Image.open(io.BytesIO(png)).text["Description"] and shows(stored, png):
            return
    with paths.whole(path) as part:
        part.write_bytes(png)


def description(path):
    """The text alternative that a stored figure, PNG or SVG, carries; an empty text without one."""
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return picture.text.get("Description", "")
    title = re.search("<title>(.*?)</title>", path.read_text(encoding="utf-8"), re.DOTALL)
    return html.unescape(title[1]) if title else ""


def in_few_colours(png, alt=""):
    """The bytes of a PNG picture as those of one in few colours, about a third of them; white stays white.

    Where these are on average (root mean square) more than a grey level off, ordered dithering keeps smooth shades
    smooth, if the file grows by no more than SMOOTH_COSTS. Where bands remain, as in heat on photographs, the picture
    keeps its colours, in steps of STEP. alt: its text alternative, which the new one holds as its "Description".
    """
    pixels = _pixels(Image.open(io.BytesIO(png)))
    palette = _palette(pixels)
    plain = _painted(pixels, palette)
    error = np.sqrt(np.mean((_pixels(plain) - pixels) ** 2))
    if error < 1:
        return _png(plain, alt)
    height, width = pixels.shape[:2]
    pattern = min(error, 2) * np.tile(PATTERN, (height // 2 + 1, width // 2 + 1))[:height, :width, None]
    dithered = np.where((pixels == 255).all(-1, keepdims=True), pixels, np.clip(pixels + pattern, 0, 255))
    smooth = _painted(dithered.round(), palette)
    if np.percentile(np.abs(ndimage.uniform_filter(_pixels(smooth) - pixels, (8, 8, 0))).max(-1), 99) > BANDS:
        return _png(Image.fromarray((STEP * np.round(pixels / STEP)).round().astype(np.uint8)), alt)
    plain, smooth = _png(plain, alt), _png(smooth, alt)
    return smooth if len(smooth) < SMOOTH_COSTS * len(plain) else plain


def shows(stored, new):
    """Whether the mean colour of no 4x4 pixels differs by more than SAME in two pictures, given as files' bytes."""
    stored, new = (_pixels(Image.open(io.BytesIO(data))) for data in (stored, new))
    if stored.shape != new.shape:
        return False
    return bool(np.abs(ndimage.uniform_filter(stored - new, (4, 4, 0))).max() <= SAME)


def _palette(pixels):
    """The colours to store pixels [H, W, 3] in, uint8 [N, 3]: white, those of the keys, and COLOURS of its own.

    Similar colours are counted as one, and frequent ones count less than their number of pixels, so that what is small
    and coloured, such as a cat's green eye, keeps its colour.
    """
    pixels = pixels.reshape(-1, 3).astype(int)
    for alike in (8, 4, 2, 1):  # steps of 255 within which colours count as one: no wider than COLOURS need
        _, which, counts = np.unique((pixels // alike) @ (1, 256, 65536), return_inverse=True, return_counts=True)
        if len(counts) >= COLOURS:
            break
    means = np.stack([np.bincount(which, channel) / counts for channel in pixels.T], axis=1).round().astype(np.uint8)
    drawn = np.repeat(means, np.ceil(counts**RARE).astype(int), axis=0)[None]
    settled = drawn.shape[1] // 32  # k-means ends when fewer of them change their colour; 8 times faster
    few = Image.fromarray(drawn).quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=settled)
    own = np.reshape(few.getpalette()[: 3 * COLOURS], (-1, 3)) if len(means) > COLOURS else means
    return np.concatenate([own, *KEYS, [[255, 255, 255]]]).astype(np.uint8)


def _painted(pixels, palette):
    """Whole-numbered pixels [H, W, 3], each in the nearest colour of the palette, as a Pillow picture."""
    flat = pixels.reshape(-1, 3)
    _, first, which = np.unique(flat @ (1, 256, 65536), return_index=True, return_inverse=True)  # each colour once
    nearest = cKDTree(palette).query(flat[first])[1]  # exactly: Pillow's own search makes white a light grey
    few = Image.fromarray(nearest[which].reshape(pixels.shape[:2]).astype(np.uint8), "P")
    few.putpalette(palette.tobytes())
    return few


def _png(picture, alt):
    file, words = io.BytesIO(), PngImagePlugin.PngInfo()
    if alt:
        words.add_itxt("Description", alt)
    picture.save(file, "PNG", optimize=True, pnginfo=words)
    return file.getvalue()


def _pixels(picture):
    return np.asarray(picture.convert("RGB"), float)
