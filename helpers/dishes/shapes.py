"""Outlines of dishes as signed distances, and the knife: whole, cut, a slice missing, slices apart, squares."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .noise import field

CUTS = ("whole", "lines", "missing", "apart", "slice", "squares")


@dataclass(frozen=True)
class Shape:
    """A dish of radius about 1 around (0, 0) in its own coordinates (u, v), and how it is cut.

    waves: complex coefficients of the outline's harmonics 2, 3, …; box: (half width, half height, corner) of a
    rectangular one, or None; ragged: size of the small bites in the outline; cut: one of CUTS; slices: into how many;
    turn: angle of the first cut; gap: half width of a cut; spread: how far pieces moved apart; kept: the slices left.
    """

    waves: tuple
    box: tuple | None
    ragged: float
    dice: object
    cut: str = "whole"
    slices: int = 6
    turn: float = 0.0
    gap: float = 0.015
    spread: float = 0.0
    kept: tuple = ()

    def outline(self, x, y):
        """(u, v, distance) at plane points (x, y): dish coordinates there, and the signed distance, negative inside."""
        if self.cut in ("apart", "missing", "slice"):
            return self._wedges(x, y)
        if self.cut == "squares":
            return self._squares(x, y)
        distance = self.body_distance(x, y)
        if self.cut == "lines":
            distance = np.maximum(distance, self.gap - self._nearest_cut(x, y))
        return x, y, distance

    def locate(self, u, v):
        """Where the dish point (u, v) lies in the plane once the pieces are moved; scalars."""
        if self.cut in ("apart", "missing", "slice"):
            index = int(((math.atan2(v, u) - self.turn) / (2 * math.pi / self.slices)) % self.slices)
            along, across = self._bisector(index)
            middle = self._centre()
            return u + self.spread * along - middle[0], v + self.spread * across - middle[1]
        if self.cut == "squares":
            cell = 2.0 / self.slices
            return tuple(w + (math.floor(w / cell) + 0.5) * cell * self.spread for w in (u, v))
        return u, v

    def body_distance(self, u, v):
        """Signed distance to the outline of the whole dish, before any cut, at dish points (u, v)."""
        ragged = self.ragged * (field("cloud", u, v, 0.5, self.dice.child("ragged")) - 0.5) if self.ragged else 0.0
        if self.box:
            width, height, corner = self.box
            over_u, over_v = np.abs(u) - (width - corner), np.abs(v) - (height - corner)
            outside = np.sqrt(np.maximum(over_u, 0) ** 2 + np.maximum(over_v, 0) ** 2)
            return outside + np.minimum(np.maximum(over_u, over_v), 0) - corner + ragged
        radius = np.sqrt(u * u + v * v)
        turn = (u + 1j * v) / np.maximum(radius, 1e-9)
        wave = np.zeros_like(turn)
        for coefficient in reversed(self.waves):
            wave = (wave + coefficient) * turn
        return radius - 1 - (wave * turn).real + ragged

    def _bisector(self, index):
        angle = self.turn + (index + 0.5) * 2 * math.pi / self.slices
        return math.cos(angle), math.sin(angle)

    def _centre(self):
        """A lone slice is moved so that its middle lies at (0, 0)."""
        if self.cut != "slice":
            return 0.0, 0.0
        along, across = self._bisector(self.kept[0])
        return 0.55 * along, 0.55 * across

    def _wedges(self, x, y):
        middle = self._centre()
        x, y = x + middle[0], y + middle[1]
        half = math.pi / self.slices
        best, u, v = np.full(x.shape, 9.0), x, y
        for index in self.kept:
            along, across = self._bisector(index)
            su, sv = x - self.spread * along, y - self.spread * across
            ahead, aside = su * along + sv * across, np.abs(sv * along - su * across)
            side = aside * math.cos(half) - ahead * math.sin(half) + self.gap
            nearer = side < best
            best = np.where(nearer, side, best)
            u, v = np.where(nearer, su, u), np.where(nearer, sv, v)
        return u, v, np.maximum(best, self.body_distance(u, v))

    def _nearest_cut(self, u, v):
        """Distance to the nearest of the straight cuts through the middle."""
        nearest = np.full(u.shape, 9.0)
        for index in range(self.slices // 2):
            angle = self.turn + index * 2 * math.pi / self.slices
            nearest = np.minimum(nearest, np.abs(math.cos(angle) * v - math.sin(angle) * u))
        return nearest

    def _squares(self, x, y):
        cell = 2.0 / self.slices
        pitch = cell * (1 + self.spread)
        column, row = np.floor(x / pitch) + 0.5, np.floor(y / pitch) + 0.5
        in_x, in_y = x - column * pitch, y - row * pitch
        u, v = column * cell + in_x, row * cell + in_y
        inside = np.maximum(np.abs(in_x), np.abs(in_y)) - cell / 2 + self.gap
        return u, v, np.maximum(inside, self.body_distance(u, v))


def round_shape(dice, wobble, ragged=0.0):
    """A round dish; wobble is how far its outline strays from a circle."""
    waves = tuple(
        wobble * dice.uniform(0.2, 1) / k * complex(math.cos(p), math.sin(p))
        for k, p in ((k, dice.uniform(0, 2 * math.pi)) for k in range(1, 7))
    )
    return Shape(waves, None, ragged, dice.child("shape"))


def box_shape(dice, aspect, corner, ragged=0.0):
    """A rectangular dish, aspect = long side / short side, of about the area of a round one."""
    half = 0.86
    return Shape((), (half * math.sqrt(aspect), half / math.sqrt(aspect), corner), ragged, dice.child("shape"))


def cut_up(shape, cut, dice):
    """The shape after the knife: `cut` is one of CUTS."""
    slices = dice.choice((4, 6, 8), (1, 3, 3))
    shape = replace(shape, cut=cut, turn=dice.uniform(0, 2 * math.pi), slices=slices, gap=dice.uniform(0.008, 0.02))
    if cut == "missing":
        gone = dice.whole(1, max(1, slices // 4))
        return replace(shape, kept=tuple(range(gone, slices)), spread=dice.choice((0.0, 0.02)))
    if cut == "apart":
        start = dice.whole(0, 2)
        return replace(shape, kept=tuple(range(start, slices)), spread=dice.uniform(0.05, 0.16))
    if cut == "slice":
        return replace(shape, slices=dice.choice((5, 6)), kept=(0,), gap=0.0)
    if cut == "squares":
        return replace(shape, slices=dice.whole(3, 4), spread=dice.uniform(0.02, 0.09))
    return shape
