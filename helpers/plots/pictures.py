"""Single pictures and maps, each drawn into an `Axes`."""

import numpy as np
from PIL import Image

from helpers.plots.style import HEAT, SIGNED


def show_image(axes, image, title=None):
    """Draw one picture, uint8 or float in [0, 1], [H, W, 3], without ticks."""
    axes.imshow(np.clip(image, 0, 1) if np.issubdtype(np.asarray(image).dtype, np.floating) else image)
    return _bare(axes, title)


def show_heat(axes, heat_map, title=None, image=None, vmax=None, cmap=HEAT, alpha=0.55, smooth=True):
    """Draw a non-negative map [h, w], over `image` [H, W, 3] where one is given; returns the drawn AxesImage.

    The map is up-sampled to the picture bilinearly (half-pixel centres), or with smooth=False drawn as the squares it
    is made of; `vmax` defaults to its own maximum.
    """
    if image is not None:
        show_image(axes, image)
    height, width = (image if image is not None else heat_map).shape[:2]
    drawn = axes.imshow(
        heat_map,
        cmap=cmap,
        vmin=0,
        vmax=vmax or float(np.max(heat_map)) or 1.0,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear" if smooth else "nearest",
        alpha=alpha if image is not None else 1.0,
    )
    _bare(axes, title)
    return drawn


def show_signed(axes, signed_map, title=None, vmax=None):
    """Draw a signed map [h, w] on a diverging scale centred on zero; returns the drawn AxesImage."""
    limit = vmax or float(np.abs(signed_map).max()) or 1.0
    drawn = axes.imshow(signed_map, cmap=SIGNED, vmin=-limit, vmax=limit)
    _bare(axes, title)
    return drawn


def show_gradient(axes, gradient, title=None):
    """Draw a signed gradient [H, W, 3] as a picture: grey is zero; the strongest 0.5 % are drawn at full colour."""
    return show_image(axes, gradient_colours(gradient), title)


def show_detail(axes, gradient, title=None):
    """Draw how strong a gradient [H, W, 3] is, dark on white; the strongest 0.5 % are black."""
    strength = np.abs(gradient).sum(-1)
    drawn = axes.imshow(strength, cmap="Greys", vmin=0, vmax=highest(strength))
    _bare(axes, title)
    return drawn


def grey(image):
    """A picture uint8 [H, W, 3] without its colours, so that those of a heat map over it are the map's alone."""
    return np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None], 3, axis=2)


def gradient_colours(gradient):
    """A signed gradient [H, W, C] as a picture, float in [0, 1]: 0.5 is zero, the strongest 0.5 % saturate."""
    limit = highest(gradient)
    return np.clip(0.5 + 0.5 * np.asarray(gradient, float) / limit, 0, 1)


def highest(values):
    """The 99.5th percentile of the magnitudes; where fewer are above zero, the highest; 1 where none is."""
    magnitudes = np.abs(values)
    return float(np.percentile(magnitudes, 99.5) or magnitudes.max() or 1)


def _bare(axes, title):
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title)
    return axes
