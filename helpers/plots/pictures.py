"""Single pictures and maps, each drawn into an `Axes`."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from helpers.plots.japanese import CREDIT
from helpers.plots.style import HEAT, SIGNED

BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
KEY_HEIGHT, LINE_HEIGHT = 0.4, 0.16  # inches
GRADIENT_KEY = {  # a gradient's signs in the colour channels, and their colour in `gradient_colours`
    "gradient zero": (0.5, 0.5, 0.5),
    "all colours +": (1, 1, 1),
    "all colours \u2212": (0, 0, 0),
    "green +": (0.3, 1, 0.3),
    "green \u2212": (0.9, 0.1, 0.9),
    "red +": (0.95, 0.2, 0.3),
    "green +, red \u2212": (0, 0.9, 0.6),
    "red +, green \u2212": (1, 0, 0.5),
}
DARKEST, LIGHTEST = 0.25, 0.9  # of the grey copy below a map's colours, so that they show on black and on white
OPACITY = 0.8  # of a map's strongest colour on that copy; where the map is zero, its colour is clear
RISE = 0.7  # opacity grows with this power of the map, at first faster than the map, so that weak evidence shows
GUIDED_NOTE = "guided maps:\ngrey is zero"
KEY = {"fraction": 0.03, "aspect": 40, "shrink": 0.4, "pad": 0.02}  # a small bar


def show_image(axes, image, title=None):
    """Draw one picture, uint8 or float in [0, 1], [H, W, 3], without ticks."""
    _show(axes, np.clip(image, 0, 1) if np.issubdtype(np.asarray(image).dtype, np.floating) else image, title)
    return axes


def show_credit(axes, credit, width=32):
    """Write a photo's credit below it as it is, in lines of at most `width` letters; the figure grows with them."""
    lines = textwrap.wrap(credit, width)
    axes.set_xlabel("\n".join(lines), fontsize=8, parse_math=False, gid=CREDIT)
    axes.figure.set_figheight(axes.figure.get_figheight() + LINE_HEIGHT * max(len(lines) - 1, 0))


def show_heat(axes, heat_map, title=None, image=None, vmax=None, cmap=HEAT, smooth=True):
    """Draw a non-negative map [h, w], over a grey copy of `image` [H, W, 3] where one is given; returns the AxesImage.

    The map is up-sampled to the picture bilinearly (half-pixel centres), or with smooth=False drawn as the squares it
    is made of; `vmax` defaults to its own maximum. Over a picture its opacity grows with it, from clear at zero.
    """
    if image is not None:
        show_image(axes, grey(image))
        cmap = _clear_at_zero(cmap)
    height, width = (image if image is not None else heat_map).shape[:2]
    options = {"cmap": cmap, "vmin": 0, "vmax": vmax or float(np.max(heat_map)) or 1.0}
    options |= {"interpolation": "bilinear" if smooth else "nearest"}
    return _show(axes, heat_map, title, extent=(-0.5, width - 0.5, height - 0.5, -0.5), **options)


def heat_key(figure, note="", ends=("no evidence", "most evidence")):
    """Add the key of the heat's colours below all axes of a figure: each map reaches from none to its own strongest.

    note: a short text right of it, on what else has to be known, such as `GUIDED_NOTE`; ends: what its dark
    and light ends mean. Where every map lies over a picture, so do the key's colours, over a medium grey.
    """
    alone = any(image.cmap.name == HEAT for axes in figure.axes for image in axes.images)
    _bar(figure, HEAT if alone else _on_medium_grey(_clear_at_zero(HEAT)), ends, note)


def signed_key(figure, ends, note=""):
    """Add the key of the colours of `show_signed` in the same way; ends: what its negative and positive ends mean."""
    _bar(figure, SIGNED, ends, note)


def _bar(figure, colours, ends, note):
    figure.set_figheight(figure.get_figheight() + KEY_HEIGHT)
    bar = figure.colorbar(matplotlib.cm.ScalarMappable(cmap=colours), ax=figure.axes, location="bottom", **KEY)
    bar.set_ticks((0, 1), labels=ends)
    bar.ax.tick_params(length=0, labelsize=9)
    place = {"xy": (1, 0.5), "xycoords": "axes fraction", "xytext": (46, 0), "textcoords": "offset points"}
    bar.ax.annotate(note, **place, va="center", fontsize=9)
    bar.outline.set_visible(False)


def gradient_key(figure):
    """Add the key of the colours of `show_gradient` below all axes of a figure."""
    figure.set_figheight(figure.get_figheight() + KEY_HEIGHT)
    patches = [Patch(facecolor=colour, edgecolor="#777777", label=said) for said, colour in GRADIENT_KEY.items()]
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=len(patches),
        handlelength=1,
        handletextpad=0.4,
        columnspacing=1.2,
        frameon=False,
        fontsize=9,
    )


def show_signed(axes, signed_map, title=None, vmax=None):
    """Draw a signed map [h, w] on a diverging scale centred on zero; returns the drawn AxesImage."""
    limit = vmax or float(np.abs(signed_map).max()) or 1.0
    return _show(axes, signed_map, title, cmap=SIGNED, vmin=-limit, vmax=limit)


def show_gradient(axes, gradient, title=None):
    """Draw a signed gradient [H, W, 3 or 1] as a picture: grey is zero; the strongest 0.5 % are at full colour."""
    return show_image(axes, gradient_colours(gradient), title)


def show_detail(axes, gradient, title=None):
    """Draw how strong a gradient [H, W, 3] is, dark on white; the strongest 0.5 % are black."""
    strength = np.abs(gradient).sum(-1)
    drawn = _show(axes, strength, title, cmap="Greys", vmin=0, vmax=highest(strength))
    axes.spines[:].set(visible=True, color="#cccccc")  # where the map is empty, the page is as white
    return drawn


def grey(image):
    """A picture [H, W, 3], uint8 or float in [0, 1], without colours, for maps with colours on top.

    float [H, W, 3]; black is DARKEST, white LIGHTEST.
    """
    unit = np.asarray(image) / (255 if np.asarray(image).dtype == np.uint8 else 1)
    return np.repeat(DARKEST + (LIGHTEST - DARKEST) * (unit @ BRIGHTNESS)[..., None], 3, axis=-1)


def _on_medium_grey(colours):
    *red_green_blue, opacity = colours(np.linspace(0, 1, 256)).T
    medium = 0.5 * (DARKEST + LIGHTEST)
    return ListedColormap(np.transpose(opacity * red_green_blue + (1 - opacity) * medium))


def _clear_at_zero(name):
    """A colour map whose opacity grows from 0 to OPACITY."""
    steps = np.linspace(0, 1, 256)
    return ListedColormap(np.c_[matplotlib.colormaps[name](steps)[:, :3], OPACITY * steps**RISE])


def gradient_colours(gradient):
    """A signed gradient, [H, W, 3] or grey [H, W, 1], as a picture, float [H, W, 3] in [0, 1]: 0.5 is zero, the
    strongest 0.5 % saturate."""
    colours = np.clip(0.5 + 0.5 * np.asarray(gradient, float) / highest(gradient), 0, 1)
    return np.broadcast_to(colours, (*colours.shape[:-1], 3))


def highest(values):
    """The 99.5th percentile of the magnitudes; where fewer are above zero, the highest; 1 where none is."""
    magnitudes = np.abs(values)
    return float(np.percentile(magnitudes, 99.5) or magnitudes.max() or 1)


def _show(axes, values, title, **options):
    """Draw values [H, W] or [H, W, 3] without ticks and frame; returns the drawn AxesImage."""
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes.imshow(values, **options)
