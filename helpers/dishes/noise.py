"""Tileable noise: computed once, then looked up wherever a picture needs lumps, clouds, streaks or spots.

Values are ranks, uniform in [0, 1]: the threshold 0.3 covers 30 % of the plane.
"""

import math
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from helpers.dishes.camera import turned
from helpers.dishes.colour import smoothstep
from helpers.dishes.dice import Dice

SIDE = 256
FEATURES = {"cloud": 3, "lumps": 12, "grain": 60, "streaks": 20, "cells": 12, "fibres": 40}
ELONGATED = {"streaks": 12, "fibres": 5}  # how many times longer than wide


def field(kind, u, v, size, dice, angle=None):
    """float32 noise at the points (u, v), features about `size` wide (same unit as u), placed by `dice`.

    kind: cloud (all sizes), lumps (one size), grain (fine), streaks and fibres (long along `angle`),
    cells (distance to the nearest of scattered points, 0 there). `angle` in radians is random unless given.
    """
    scale, x0, y0 = SIDE / (FEATURES[kind] * size), dice.uniform(0, SIDE), dice.uniform(0, SIDE)
    if kind in ELONGATED:
        u, v = turned(u, v, dice.uniform(0, 2 * math.pi) if angle is None else angle)
    return lookup(tile(kind), u * scale + x0, v * scale + y0)


def fields(u, v, dice, **sizes):
    """[float32 noise of each kind at the points (u, v)]; sizes: kind=size, as for `field`, in the order of drawing."""
    return [field(kind, u, v, size, dice) for kind, size in sizes.items()]


def lookup(texture, x, y):
    """float32 bilinear value of a repeating texture (see `interpolated`) at (x, y) in texels."""
    column, row = np.floor(x), np.floor(y)
    fx, fy = x - column, y - row
    index = (row.astype(np.intp) & (SIDE - 1)) * SIDE + (column.astype(np.intp) & (SIDE - 1))
    corner, right, down, twist = (plane.take(index, mode="wrap") for plane in texture)
    twist *= fx
    twist += down
    twist *= fy
    right *= fx
    right += corner
    right += twist
    return right


def interpolated(values):
    """float32 [4, SIDE*SIDE]: value, step to the right, step down and their product term, ready for `lookup`."""
    right, below = np.roll(values, -1, 1), np.roll(values, -1, 0)
    twist = np.roll(right, -1, 0) - right - below + values
    return np.stack([values, right - values, below - values, twist]).astype(np.float32).reshape(4, -1)


@cache
def tile(kind):
    """The texture of one kind of noise, made once."""
    values = _cells() if kind == "cells" else _spectral(kind)
    ranks = np.empty(values.size)
    ranks[np.argsort(values.ravel(), kind="stable")] = np.arange(values.size) / (values.size - 1)
    return interpolated(ranks.reshape(values.shape))


def _spectral(kind):
    white, features = Dice("tile", kind).uniforms(SIDE, SIDE) - 0.5, FEATURES[kind]
    frequency = np.fft.fftfreq(SIDE, 1 / SIDE)
    radius = np.sqrt((frequency[None, :] * ELONGATED.get(kind, 1)) ** 2 + frequency[:, None] ** 2)
    if kind == "cloud":
        gain = np.where(radius < features, 0, 1 / np.maximum(radius, features) ** 1.9)
    else:
        gain = np.exp(-(((radius - features) / (0.35 * features)) ** 2) / 2)
    gain[0, 0] = 0
    return np.fft.ifft2(np.fft.fft2(white) * gain).real


def _cells():
    dice, count = Dice("tile", "cells"), FEATURES["cells"]
    points = np.stack(np.mgrid[:count, :count], -1) * (SIDE / count) + dice.uniforms(count, count, 2) * (SIDE / count)
    tree = cKDTree(points.reshape(-1, 2) % SIDE, boxsize=SIDE)
    return tree.query(np.stack(np.mgrid[:SIDE, :SIDE], -1).reshape(-1, 2))[0].reshape(SIDE, SIDE)


@cache
def flecks():
    """Scattered dry leaves: texture of their presence (soft, 0..1) and [SIDE,SIDE] rank (which come first, 0..1)."""
    dice = Dice("tile", "flecks")
    presence, rank = np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))
    reach = np.arange(-7, 8)
    for _ in range(700):
        row, column = dice.whole(0, SIDE - 1), dice.whole(0, SIDE - 1)
        angle, length, width = dice.uniform(0, math.pi), dice.uniform(2.0, 5.0), dice.uniform(1.0, 2.4)
        along, across = turned(reach[None, :], reach[:, None], angle)
        across = across + dice.uniform(-0.1, 0.1) * along**2
        shape = smoothstep(1.35, 0.75, np.sqrt((along / length) ** 2 + (across / width) ** 2))
        where = np.ix_((row + reach) % SIDE, (column + reach) % SIDE)
        newer = shape > presence[where]
        presence[where] = np.where(newer, shape, presence[where])
        rank[where] = np.where(newer, dice.uniform(), rank[where])
    return interpolated(presence), rank.astype(np.float32)


def scattered(u, v, size, density, dice):
    """Coverage and a random shade, both 0..1, of flecks about `size` long; `density` [H,W] in 0..1 is their share."""
    presence, rank = flecks()
    scale = 7 / size
    angle = dice.uniform(0, 2 * math.pi)
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    x, y = cosine * u + sine * v + dice.uniform(0, SIDE), cosine * v - sine * u + dice.uniform(0, SIDE)
    row, column = (np.floor(place + 0.5).astype(np.int32) & (SIDE - 1) for place in (y, x))
    nearest = rank[row, column]
    return lookup(presence, x, y) * (nearest < density), nearest / np.maximum(density, 1e-6)
