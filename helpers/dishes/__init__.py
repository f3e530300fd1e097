"""The built-in kitchen: labelled pictures of okonomiyaki and pizza that know every pixel's part; no download."""

from .food import ALL_PARTS, LABELS, PARTS
from .scene import GRIDDLE_RATE, TOPPINGS, Dish, Pair, render, two_dishes
from .sets import COUNTS, Split, make_split
from .tables import BACKGROUNDS
from .tableware import PLATE_COLOURS
