"""A pinhole camera over a table: pixels to points on a level plane, and back."""

import math
from typing import NamedTuple

import numpy as np


def turned(x, y, angle):
    """(along, across): the offsets x, y seen from axes that are turned by `angle`."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


class Camera(NamedTuple):
    """tilt and roll in radians (tilt 0 looks straight down), distance in dish radii, focal length and centre in pixels.

    World: X to the right, Y towards the viewer, Z up; the table is Z = 0 and a dish has a radius of about 1.
    """

    size: int
    tilt: float
    roll: float
    distance: float
    focal: float
    centre: tuple

    @property
    def pixel(self):
        """Width of a pixel on the table, in dish radii."""
        return self.distance / self.focal

    def meet(self, column, row, height=0.0):
        """(X, Y) where the rays of the pixel places (scalars or arrays) meet the level plane Z = height."""
        a, b = turned((column - self.centre[0]) / self.focal, (row - self.centre[1]) / self.focal, self.roll)
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        reach = (self.distance * cosine - height) / np.maximum(cosine + b * sine, 0.05)
        return reach * a, self.distance * sine + reach * (b * cosine - sine)

    def plane(self, height=0.0):
        """(X, Y), two float64 [size, size] arrays: the points of the plane Z = height that the pixels see."""
        places = np.arange(self.size) + 0.5
        return self.meet(places[None, :], places[:, None], height)

    def project(self, x, y, height):
        """(column, row) of the world point (x, y, height)."""
        sine, cosine = math.sin(self.tilt), math.cos(self.tilt)
        y, z = y - self.distance * sine, height - self.distance * cosine
        depth = -y * sine - z * cosine
        right, down = turned(x / depth, (y * cosine - z * sine) / depth, -self.roll)
        return self.centre[0] + self.focal * right, self.centre[1] + self.focal * down
