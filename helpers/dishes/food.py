"""A dish standing on the table: where the picture shows its top and its sides, and windows around small toppings."""

import math

import numpy as np

from helpers.dishes.camera import turned
from helpers.dishes.canvas import Canvas
from helpers.dishes.colour import smoothstep

LABELS = ("okonomiyaki", "pizza")
PARTS = {
    "okonomiyaki": ("batter", "okonomiyaki_sauce", "mayonnaise", "aonori", "bonito", "red_ginger", "spring_onion"),
    "pizza": ("crust", "tomato_sauce", "cheese", "basil", "salami", "olives"),
}
ALL_PARTS = PARTS["okonomiyaki"] + PARTS["pizza"]
CODE = {part: index for index, part in enumerate(ALL_PARTS, start=1)}
SEEDED = {part: part for part in ALL_PARTS} | {"okonomiyaki_sauce": "brown_sauce"}  # what a part's random numbers go by


class Food:
    """One dish in one picture, in the smallest box of pixels that holds it. Layers are float32 [h,w], lengths radii.

    u, v: dish coordinates of its top as each pixel sees it, foot_u, foot_v at its foot; depth: signed distance to the
    outline, negative inside, and uncut: the same before the knife; wall: 0 at the upper edge of the side to 1 at its
    foot; inside, body: coverage in 0..1 by the top, and by top and side; box: the pair of slices of the picture;
    canvas: what is painted; pixel: width of a pixel; rounding: width of the rounded edge.

    Outlines are computed in float64 and rounded once; from there to the masks only + - * / and roots are used, which
    every machine computes alike. Sines and exponentials are for heights and colours.
    """

    def __init__(self, camera, shape, place, angle, thickness, rounding):
        self.camera, self.shape, self.place, self.angle = camera, shape, place, angle
        self.thickness, self.rounding, self.pixel = thickness, rounding, camera.pixel
        top, foot = (self._outline(height) for height in (self.thickness, 0.0))
        near = np.minimum(top[2], foot[2]) < 2 * self.pixel
        self.box = tuple(_span(near.any(axis=axis)) for axis in (1, 0))
        u, v, depth, foot_u, foot_v, foot = (layer[self.box] for layer in (*top, *foot))
        uncut = depth if self.shape.cut == "whole" else self.shape.body_distance(u, v)
        wall = np.clip(depth / np.maximum(depth - foot, 2 * self.pixel), 0, 1)
        inside = np.clip(0.5 - depth / self.pixel, 0, 1)
        body = np.clip(0.5 - np.minimum(depth, foot) / self.pixel, 0, 1)
        layers = (layer.astype(np.float32) for layer in (u, v, foot_u, foot_v, depth, uncut, wall, inside, body))
        self.u, self.v, self.foot_u, self.foot_v, self.depth, self.uncut, self.wall, self.inside, self.body = layers
        self.canvas = Canvas(*u.shape)

    def _outline(self, height):
        x, y = self.camera.plane(height)
        return self.shape.outline(*turned(x - self.place[0], y - self.place[1], self.angle))

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

    def window(self, place, reach, angle):
        """The picture's part within `reach` of a dish point, perhaps empty: (slices, offsets, offsets along `angle`).

        Offsets are pairs of [h,w]: u and v from the point, and along and across the direction of the angle.
        """
        x, y = self.shape.locate(*place)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        world = self.place[0] + cosine * x - sine * y, self.place[1] + sine * x + cosine * y
        column, row = self.camera.project(*world, self.thickness)
        half = 1.25 * reach / self.pixel + 1.5
        spans = []
        for middle, span, length in zip((row, column), self.box, self.u.shape, strict=True):
            start, end = math.floor(middle - span.start - half), math.ceil(middle - span.start + half)
            spans.append(slice(max(0, start), max(0, min(end, length))))
        window = tuple(spans)
        offsets = self.u[window] - place[0], self.v[window] - place[1]
        return window, offsets, turned(*offsets, angle)


def _span(where):
    """The slice around all True places; a single place where there is none."""
    places = np.flatnonzero(where)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)
