"""Any picture, any network, any method: what the page of notebook 11 shows, without the page."""

import warnings
from typing import NamedTuple

import matplotlib
import numpy as np

from helpers import maps, plots
from helpers.photos import pictures
from helpers.plots.pictures import highest
from helpers.viewer.networks import CONTRIBUTION, Probabilities

LEAST_SIDE = 480  # pixels that large files keep at least: they are read at 1/2, 1/4 or 1/8 of their size
THIRDS = ("upper", "middle", "lower"), ("left", "centre", "right")


class View(NamedTuple):
    """One explanation: the picture the network saw, uint8 [H, W, 3]; the raw map, [h, w] or [H, W, C]; the map in
    colours, float [H, W, 3] in [0, 1]; and the method that gave it."""

    image: np.ndarray
    raw: np.ndarray
    colours: np.ndarray
    method: str


def probabilities(network, image):
    """Class probabilities float32 [N] of an RGB picture (PIL)."""
    return network.explainer(Probabilities)(network.inputs(network.pixels(image)))[0]


def look(network, image, method, class_index=None):
    """Explain an RGB picture (PIL) by `method`, a name in `network.methods`: a `View`.

    class_index: None for the likeliest class. Raises ValueError where the method does not fit the network.
    """
    if method not in network.methods:
        raise ValueError(f"method {method!r}: for this network choose one of {', '.join(network.methods)}")
    pixels = network.pixels(image)
    raw = network.explainer(network.methods[method])(network.inputs(pixels), class_index)[0]
    return View(np.broadcast_to(pixels, (*network.size, 3)), raw, _colours(raw, pixels, method), method)


def _colours(raw, pixels, method):
    if raw.ndim == 3:
        return plots.gradient_colours(raw)
    if method == CONTRIBUTION:
        return matplotlib.colormaps[plots.SIGNED](0.5 + 0.5 * raw / (np.abs(raw).max() or 1.0))[..., :3]
    return matplotlib.colormaps[plots.HEAT](maps.to_unit(maps.resize(raw, pixels.shape[:2])))[..., :3]


def scale(view):
    """(name of the colour map, lowest value, highest value): what the colours of a `View` mean."""
    if view.raw.ndim == 3:
        return "gray", -highest(view.raw), highest(view.raw)
    if view.method == CONTRIBUTION:
        limit = float(np.abs(view.raw).max()) or 1.0
        return plots.SIGNED, -limit, limit
    shown = maps.resize(view.raw, view.image.shape[:2])  # as `_colours` does
    return plots.HEAT, 0.0, float(shown.max()) or 1.0


def evidence(view):
    """How strong the map is at each place of the picture, whatever its sign: float [H, W] in [0, 1]."""
    if view.raw.ndim == 3:
        strength = np.abs(view.raw).sum(-1)
        return np.clip(strength / highest(strength), 0, 1)
    return maps.to_unit(maps.resize(np.abs(view.raw), view.image.shape[:2]))


def overlay(view, strength, follow=False):
    """The map laid over a grey copy of its picture, uint8 [H, W, 3]; strength from 0, the copy, to 1, the map alone.

    follow: the opacity follows the map, as in figures, from 0 where it is zero to `strength` where it is strongest.
    """
    opacity = strength * evidence(view)[..., None] ** plots.RISE if follow else strength
    mixed = (1 - opacity) * plots.grey(view.image) + opacity * view.colours
    return np.round(255 * mixed).astype(np.uint8)


def in_words(view):
    """Where the map of a `View` is strongest, for readers who do not see it."""
    if not np.any(view.raw):
        return "the map is zero everywhere"
    place = np.unravel_index(evidence(view).argmax(), view.image.shape[:2])
    row, column = (words[3 * at // side] for words, at, side in zip(THIRDS, place, view.image.shape[:2], strict=True))
    place = f"{row} {column}".replace("middle centre", "centre")
    return f"the map is strongest in the {place} of the picture"


def read_picture(data, name):
    """The bytes of the picture file `name` as an upright RGB picture (PIL). ValueError says what is wrong with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's on odd metadata
        try:
            return pictures.decode(data, LEAST_SIDE)[0]
        except ValueError as error:
            raise ValueError(f"{name}: {error}. Choose another file") from error
