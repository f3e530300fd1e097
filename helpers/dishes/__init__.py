"""The built-in kitchen: labelled pictures of okonomiyaki and pizza that know every pixel's part; no download."""

from .food import ALL_PARTS, LABELS, PARTS
from .scene import GRIDDLE_RATE, TOPPINGS, Dish, Pair, render, two_dishes
from .splits import COUNTS, Split, make_split
from .tables import BACKGROUNDS
from .tableware import PLATE_COLOURS

__all__ = [
    "ALL_PARTS",
    "BACKGROUNDS",
    "COUNTS",
    "GRIDDLE_RATE",
    "LABELS",
    "PARTS",
    "PLATE_COLOURS",
    "TOPPINGS",
    "Dish",
    "Pair",
    "Split",
    "make_split",
    "render",
    "two_dishes",
]
