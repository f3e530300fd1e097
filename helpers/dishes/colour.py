"""Linear-light colours, palettes and the soft steps that blend them."""

from functools import cache

import numpy as np


def linear(hex_colour):
    """float32 [3] linear light of an sRGB colour such as "#e8c3a0" (IEC 61966-2-1)."""
    srgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_bytes(light):
    """uint8 picture of linear light: values are cut to [0, 1] and carried through the sRGB curve."""
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * curve + 0.5).astype(np.uint8)


def ramp(amount, palette):
    """float32 [3,H,W]: `amount` [H,W] in [0, 1] runs evenly through a palette such as "#0c080a #e8c3a0"."""
    return _steps(palette).take((np.clip(amount, 0, 1) * 255).astype(np.intp), axis=1, mode="clip")


@cache
def _steps(palette):
    stops = np.stack([linear(colour) for colour in palette.split()])
    places = np.linspace(0, len(stops) - 1, 256)
    return np.stack([np.interp(places, np.arange(len(stops)), channel) for channel in stops.T]).astype(np.float32)


def flat(colour):
    """A colour [3] as float32 [3,1,1], ready to be broadcast over a picture."""
    return np.asarray(colour, np.float32)[:, None, None]


def mix(first, second, amount):
    """first where amount is 0, second where it is 1."""
    return first + (second - first) * amount


def smoothstep(low, high, value):
    """0 below `low`, 1 above `high`, a smooth S between; with low > high the S falls."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def jitter(colour, dice, amount=0.08):
    """The colour [3] a little lighter or darker, warmer or cooler."""
    return np.asarray(colour) * (1 + amount * np.array([dice.bell(), dice.bell(), dice.bell()])).clip(0.5, 1.6)
