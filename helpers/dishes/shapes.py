"""Outlines of dishes as signed distances, and the knife: whole, cut, a slice missing, slices apart, squares."""

import math
from dataclasses import dataclass, replace

import numpy as np

from helpers.dishes.noise import field


@dataclass(frozen=True)
class Shape:
    """A dish of radius about 1 around (0, 0) in its own coordinates (u, v), and how it is cut.

    waves: complex coefficients of the outline's harmonics 2, 3, …; box: (half width, half height, corner) of a
    rectangular one, or None; ragged: size of the small bites in the outline; cut: "whole", "lines", "missing", "apart",
    "slice" or "squares"; slices: into how many; turn: angle of the first cut; gap: half width of a cut; spread: how far
    pieces moved apart; kept: the slices left.
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
    kept: range = range(0)

    def outline(self, x, y):
        """(u, v, distance) at plane points (x, y): dish coordinates there, and the signed distance, negative inside."""
        if self.kept:
            u, v, cut = self._wedges(x, y)
        elif self.cut == "squares":
            u, v, cut = self._squares(x, y)
        else:
            u, v, cut = x, y, self.gap - self._nearest_cut(x, y) if self.cut == "lines" else -np.inf
        return u, v, np.maximum(self.body_distance(u, v), cut)

    def locate(self, u, v):
        """Where the dish point (u, v) lies in the plane once the pieces are moved; scalars."""
        if self.kept:
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
        return tuple(0.55 * part for part in self._bisector(0)) if self.cut == "slice" else (0.0, 0.0)

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
            best, u, v = np.where(nearer, side, best), np.where(nearer, su, u), np.where(nearer, sv, v)
        return u, v, best

    def _nearest_cut(self, u, v):
        """Distance to the nearest of the straight cuts through the middle."""
        angles = [self.turn + index * 2 * math.pi / self.slices for index in range(self.slices // 2)]
        return np.minimum.reduce([np.abs(math.cos(angle) * v - math.sin(angle) * u) for angle in angles])

    def _squares(self, x, y):
        cell = 2.0 / self.slices
        pitch = cell * (1 + self.spread)
        column, row = np.floor(x / pitch) + 0.5, np.floor(y / pitch) + 0.5
        in_x, in_y = x - column * pitch, y - row * pitch
        inside = np.maximum(np.abs(in_x), np.abs(in_y)) - cell / 2 + self.gap
        return column * cell + in_x, row * cell + in_y, inside


def round_shape(dice, wobble, ragged):
    """A round dish; wobble is how far its outline strays from a circle."""
    waves = []
    for k in range(1, 7):
        phase = dice.uniform(0, 2 * math.pi)
        waves.append(wobble * dice.uniform(0.2, 1) / k * complex(math.cos(phase), math.sin(phase)))
    return Shape(tuple(waves), None, ragged, dice.child("shape"))


def box_shape(dice, aspect, corner, ragged):
    """A rectangular dish, aspect = long side / short side, of about the area of a round one."""
    half = 0.86
    return Shape((), (half * math.sqrt(aspect), half / math.sqrt(aspect), corner), ragged, dice.child("shape"))


def cut_up(shape, cut, dice):
    """The shape after the knife; `cut` as in `Shape`."""
    slices = dice.choice((4, 6, 8), (1, 3, 3))
    shape = replace(shape, cut=cut, turn=dice.uniform(0, 2 * math.pi), slices=slices, gap=dice.uniform(0.008, 0.02))
    if cut == "missing":
        return replace(shape, kept=range(dice.whole(1, slices // 4), slices), spread=dice.choice((0.0, 0.02)))
    if cut == "apart":
        return replace(shape, kept=range(dice.whole(0, 2), slices), spread=dice.uniform(0.05, 0.16))
    if cut == "slice":
        return replace(shape, slices=dice.choice((5, 6)), kept=range(1), gap=0.0)
    if cut == "squares":
        return replace(shape, slices=dice.whole(3, 4), spread=dice.uniform(0.02, 0.09))
    return shape
