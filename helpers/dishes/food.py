"""A dish standing on the table: where the picture shows its top and its sides, and windows around small toppings."""

import math
from dataclasses import dataclass

import numpy as np

from .camera import Camera
from .canvas import Canvas
from .colour import smoothstep
from .shapes import Shape

LABELS = ("okonomiyaki", "pizza")
PARTS = {
    "okonomiyaki": ("batter", "brown_sauce", "mayonnaise", "aonori", "bonito", "red_ginger", "spring_onion"),
    "pizza": ("crust", "tomato_sauce", "cheese", "basil", "salami", "olives"),
}
ALL_PARTS = PARTS["okonomiyaki"] + PARTS["pizza"]
CODE = {part: index + 1 for index, part in enumerate(ALL_PARTS)}


@dataclass
class Food:
    """One dish in one picture, in the smallest box of pixels that holds it. Layers are float32 [h,w], lengths radii.

    u, v: dish coordinates of its top as each pixel sees it, foot_u, foot_v at its foot; depth: signed distance to the
    outline, negative inside, and uncut: the same before the knife; wall: 0 at the upper edge of the side to 1 at its
    foot; inside, body: coverage in 0..1 by the top, and by top and side; box: the pair of slices of the picture;
    canvas: what is painted; pixel: width of a pixel.

    Outlines are computed in float64 and rounded once; from there to the masks only + - * / and roots are used, which
    every machine computes alike. Sines and exponentials are for heights and colours.
    """

    camera: Camera
    shape: Shape
    place: tuple
    angle: float
    thickness: float
    rounding: float

    def __post_init__(self):
        self.pixel = self.camera.pixel
        u, v, depth = self.shape.outline(*self._local(*self.camera.plane(self.thickness)))
        foot_u, foot_v, foot = self.shape.outline(*self._local(*self.camera.plane(0.0)))
        self.box = _bounding_box(np.minimum(depth, foot) < 2 * self.pixel)
        u, v, depth, foot_u, foot_v, foot = (layer[self.box] for layer in (u, v, depth, foot_u, foot_v, foot))
        uncut = depth if self.shape.cut == "whole" else self.shape.body_distance(u, v)
        self.wall = _single(np.clip(depth / np.maximum(depth - foot, 2 * self.pixel), 0, 1))
        self.inside = _single(np.clip(0.5 - depth / self.pixel, 0, 1))
        self.body = _single(np.clip(0.5 - np.minimum(depth, foot) / self.pixel, 0, 1))
        self.u, self.v, self.foot_u, self.foot_v = _single(u), _single(v), _single(foot_u), _single(foot_v)
        self.depth, self.uncut = _single(depth), _single(uncut)
        self.canvas = Canvas(*self.u.shape)

    def profile(self):
        """Height of the bare dish: flat on top, rounded towards the edge, falling along the side."""
        rim = np.clip(1 + self.depth / self.rounding, 0, 1)
        return self.thickness * (1 - 0.45 * rim * rim) * (1 - self.wall)

    def within(self, margin, soft=None):
        """Coverage in 0..1 of the top at least `margin` inside the outline, with an edge `soft` wide (a pixel)."""
        soft = self.pixel if soft is None else soft
        return self.inside * smoothstep(-margin + soft / 2, -margin - soft / 2, self.uncut)

    def paint(self, part, cover, colour, height, gloss, opacity=1.0, window=np.s_[:, :]):
        """Paint on the dish's canvas under the part's name; see `Canvas.paint`."""
        self.canvas.paint(cover, colour, height, gloss, CODE[part], opacity, window)

    def window(self, u, v, reach):
        """(slices, u - u0, v - v0) of the picture's part within `reach` of the dish point (u, v); None outside it."""
        x, y = self.shape.locate(u, v)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        world = self.place[0] + cosine * x - sine * y, self.place[1] + sine * x + cosine * y
        column, row = self.camera.project(*world, self.thickness)
        row, column = row - self.box[0].start, column - self.box[1].start
        half = 1.25 * reach / self.pixel + 1.5
        top, left = max(0, math.floor(row - half)), max(0, math.floor(column - half))
        bottom, right = min(math.ceil(row + half), self.u.shape[0]), min(math.ceil(column + half), self.u.shape[1])
        if bottom <= top or right <= left:
            return None
        window = np.s_[top:bottom, left:right]
        return window, self.u[window] - u, self.v[window] - v

    def _local(self, x, y):
        x, y = x - self.place[0], y - self.place[1]
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return cosine * x + sine * y, cosine * y - sine * x


def _single(layer):
    return layer.astype(np.float32)


def _bounding_box(where):
    """The pair of slices around all True pixels; a single pixel where there is none."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(where.any(axis=axis))
        spans.append(slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1))
    return tuple(spans)
