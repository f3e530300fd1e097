"""The built-in kitchen: labelled pictures of okonomiyaki and pizza that know every pixel's part; no download."""

from helpers.dishes.food import ALL_PARTS, LABELS, PARTS
from helpers.dishes.scene import GRIDDLE_RATE, TOPPINGS, Dish, Pair, render, two_dishes
from helpers.dishes.sets import COUNTS, Split, make_split
from helpers.dishes.tables import BACKGROUNDS
from helpers.dishes.tableware import PLATE_COLOURS
