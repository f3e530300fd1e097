"""Any picture, any network, any method: what the page of notebook 11 shows, without the page."""

import warnings
from typing import NamedTuple

import matplotlib
import numpy as np

from helpers import maps, plots
from helpers.photos import pictures
from helpers.viewer.networks import CONTRIBUTION, Probabilities

LARGEST_SIDE = 480  # pixels to which large files are roughly reduced while they are read


class View(NamedTuple):
    """One explanation: the picture the network saw, uint8 [H, W, 3]; the raw map, [h, w] or [H, W, C]; and the map in
    colours, float [H, W, 3] in [0, 1]."""

    image: np.ndarray
    raw: np.ndarray
    colours: np.ndarray


def probabilities(network, image):
    """Class probabilities float32 [N] of an RGB picture (PIL)."""
    return network.explainer(Probabilities)(network.inputs(network.pixels(image)))[0]


def look(network, image, method, class_index=None):
    """Explain an RGB picture (PIL) by `method`, a name in `network.methods`: a `View`.

    class_index: None for the likeliest class. Raises ValueError where the method does not fit the network.
    """
    pixels = network.pixels(image)
    raw = network.explainer(network.methods[method])(network.inputs(pixels), class_index)[0]
    return View(np.broadcast_to(pixels, (*network.size, 3)), raw, _colours(raw, pixels, method))


def _colours(raw, pixels, method):
    if raw.ndim == 3:
        return np.broadcast_to(plots.gradient_colours(raw), (*raw.shape[:2], 3))
    if method == CONTRIBUTION:
        return matplotlib.colormaps[plots.SIGNED](0.5 + 0.5 * raw / (np.abs(raw).max() or 1.0))[..., :3]
    return matplotlib.colormaps[plots.HEAT](maps.to_unit(maps.resize(raw, pixels.shape[:2])))[..., :3]


def overlay(view, strength):
    """The map laid over its picture, uint8 [H, W, 3]; strength from 0, the picture itself, to 1, the map alone."""
    mixed = (1 - strength) * view.image + strength * 255 * view.colours
    return np.round(mixed).astype(np.uint8)


def read_picture(data):
    """The bytes of a picture file as an upright RGB picture (PIL). Raises ValueError that says what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's on odd metadata
        try:
            return pictures.decode(data, LARGEST_SIDE)[0]
        except ValueError as error:
            raise ValueError(f"{error}. Choose another file: JPEG, PNG, WebP, GIF or BMP") from error
