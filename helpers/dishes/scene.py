"""A dish in a picture: recipe, framing, masks, and the photo. The face of the kitchen is `helpers.dishes`."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers.dishes import okonomiyaki, pizza
from helpers.dishes.camera import Camera
from helpers.dishes.dice import Dice
from helpers.dishes.food import ALL_PARTS, CODE, LABELS, Food
from helpers.dishes.photograph import expose
from helpers.dishes.shading import Light, illuminate
from helpers.dishes.tables import BACKGROUNDS, set_table
from helpers.dishes.tableware import PLATE_COLOURS

COOKS = {"okonomiyaki": okonomiyaki, "pizza": pizza}
TOPPINGS = tuple(part for part in ALL_PARTS if part not in ("batter", "crust"))
GRIDDLE_RATE = {"okonomiyaki": 0.38, "pizza": 0.1}
LEAST_SHARE, LEAST_PART = 0.18, 0.004  # of the picture: the dish, and a part that counts as visible
TRIES = 40


@dataclass(frozen=True)
class Dish:
    """One labelled picture.

    image: uint8 [H,W,3]; masks: {part: bool [H,W]} for all thirteen parts of both dishes (all False where a part is
    absent) and "dish", their union. The part masks are disjoint: each pixel belongs to the part that is seen there,
    before the photo's blur. toppings: the parts it was made with; plate_colour: a name on a coloured plate, "white" on
    a white one, else None; close_up: framed so near that little or no background is seen.
    """

    image: np.ndarray
    masks: dict
    label: str
    background: str
    toppings: frozenset
    plate_colour: str | None
    close_up: bool


class Pair(NamedTuple):
    """Two dishes in one picture: image uint8 [H,W,3]; labels, masks, toppings and plate_colours as (left, right)."""

    image: np.ndarray
    labels: tuple
    masks: tuple
    background: str
    toppings: tuple
    plate_colours: tuple


def render(label, seed, size=160, background=None, toppings=None, plate_colour=None, close_up=None):
    """Draw one dish. Returns a `Dish`; the same arguments give the same masks everywhere, the picture to a grey level.

    label: "okonomiyaki" or "pizza"; seed: int; size: 64..320 pixels; background: one of BACKGROUNDS; toppings: a set of
    part names besides batter and crust; plate_colour: a name from PLATE_COLOURS, which asks for a coloured plate;
    close_up: True or False. What is None is chosen by the seed. The food does not depend on background or
    plate_colour: with the same seed it keeps its masks on every background. Raises ValueError for anything else,
    RuntimeError where no framing shows the dish well.
    """
    _check(label, size, background, toppings, plate_colour)
    dice = Dice(int(seed), label)
    chosen = frozenset(COOKS[label].toppings(dice.child("toppings")) if toppings is None else toppings)
    ground = "coloured_plate" if plate_colour else choose_background(label, dice.child("background"))
    background = background or ground
    near = dice.child("close up").chance(0.17) if close_up is None else close_up
    for attempt in range(TRIES):
        own = dice.child("attempt", attempt)
        camera, food, need = _frame(label, own, size, near)
        COOKS[label].lay(food, chosen, own.child("lay"))
        masks = _masks(food)
        # large enough, with two naming parts to be seen, or all those that were asked for
        wanted, least = (COOKS[label].NAMING, 2) if toppings is None else (chosen, len(chosen))
        if _visible(masks, wanted) >= least and masks["dish"].mean() >= LEAST_SHARE:
            break
    else:
        told = f"{label}, seed {seed}, toppings {sorted(chosen)}"
        raise RuntimeError(f"{told}: no framing shows it well; try another seed")
    colour = plate_colour or dice.child("plate").choice(tuple(PLATE_COLOURS))
    image, (shown,) = _photo(dice, camera, [food], background, [(0.0, 0.0, need, 9.0)], (colour,))
    return Dish(image, masks, label, background, chosen, shown, near)


def choose_background(label, dice, rates=GRIDDLE_RATE):
    """A random background: the griddle with the label's own probability, the others alike for both labels."""
    if dice.child("griddle").chance(rates[label]):
        return "iron_griddle"
    return dice.child("other").choice(BACKGROUNDS[1:], (3, 2, 2, 2.5, 1.2))


def two_dishes(seed, size=160, labels=None, background=None, plate_colours=None):
    """Two dishes side by side on one table. Returns a `Pair`; each dish lies wholly in its own half of the picture.

    labels: (left, right), by default one okonomiyaki and one pizza in either order; background: one of BACKGROUNDS;
    plate_colours: (left, right) names from PLATE_COLOURS, which ask for coloured plates. Raises ValueError for unknown
    names or sizes outside 64..320, RuntimeError where no framing shows both well.
    """
    dice = Dice(int(seed), "two dishes")
    labels = tuple(labels or (LABELS if dice.child("order").chance(0.5) else LABELS[::-1]))
    if len(labels) != 2 or len(plate_colours or labels) != 2:
        raise ValueError(f"labels {labels}, plate_colours {plate_colours}: expected two of each, (left, right)")
    for label, colour in zip(labels, plate_colours or (None, None), strict=True):
        _check(label, size, background, None, colour)
    kinds, weights = BACKGROUNDS, (2, 3, 2, 2, 0.7, 1)
    background = background or ("coloured_plate" if plate_colours else dice.child("background").choice(kinds, weights))
    recipes = [COOKS[label].toppings(dice.child(side, "toppings")) for side, label in zip("lr", labels, strict=True)]
    chosen = tuple(frozenset(parts) for parts in recipes)
    for attempt in range(TRIES):
        camera, foods, masks = _lay_pair(dice.child("attempt", attempt), size, labels, chosen)
        if _apart(masks, labels):
            break
    else:
        raise RuntimeError(f"two_dishes, seed {seed}: no framing shows both dishes well; try another seed")
    colours = tuple(plate_colours or (dice.child(side, "plate").choice(tuple(PLATE_COLOURS)) for side in "lr"))
    seats = [(*food.place, 1.0, 1.19) for food in foods]
    image, shown = _photo(dice, camera, foods, background, seats, colours)
    return Pair(image, labels, masks, background, chosen, shown)


def _photo(dice, camera, foods, background, seats, colours):
    """(image, each dish's plate colour, None on other backgrounds)."""
    if background != "coloured_plate":
        colours = ("white" if background == "white_plate" else None,) * len(foods)
    table = set_table(camera, background, dice.child("table"), seats, colours)
    for food in foods:
        table.receive(food.canvas, food.box)
    return expose(illuminate(table, camera, Light(dice.child("light"))), camera, dice.child("photo")), colours


def _check(label, size, background, toppings, plate_colour):
    if not 64 <= size <= 320:
        raise ValueError(f"size {size}: choose 64 to 320 pixels")
    known = {"label": LABELS, "background": BACKGROUNDS, "plate_colour": PLATE_COLOURS}
    for (name, options), value in zip(known.items(), (label, background, plate_colour), strict=True):
        if value not in options and (value is not None or name == "label"):
            raise ValueError(f"{name} {value!r}: choose one of {', '.join(options)}")
    unknown = set(toppings or ()) - set(TOPPINGS)
    if unknown:
        raise ValueError(f"toppings {sorted(unknown)}: choose from {', '.join(TOPPINGS)}")
    if plate_colour is not None and background not in (None, "coloured_plate"):
        raise ValueError(f"plate_colour {plate_colour!r} on {background}: only the coloured_plate has a colour")


def _frame(label, dice, size, near):
    """(camera, food, radius the dish needs): one way to look at one dish."""
    shape = COOKS[label].shape(dice.child("shape"))
    look = dice.child("look")
    tilt = look.uniform(0, 0.35) if look.chance(0.4) else look.uniform(0.35, 0.98)
    share, need = look.uniform(0.27, 0.47) if look.chance(0.72) else look.uniform(0.47, 0.62), 1.1
    if shape.cut == "slice":
        share, need = share * 1.65, 0.72
    if near:
        share = share * look.uniform(1.7, 2.8)
    distance = look.uniform(3.5, 7.0)
    centre = size * (0.5 + look.bell(0, 0.07)), size * (0.5 + look.bell(0, 0.06))
    roll = look.bell(0, 0.06)
    if near:
        centre = tuple(c + look.uniform(-0.6, 0.6) * share * size for c in centre)
    camera = Camera(size, tilt, roll, distance, share * size * distance, centre)
    return camera, _food(label, dice, camera, shape, (0.0, 0.0)), need


def _food(label, dice, camera, shape, place):
    stance = dice.child("stance")
    return Food(camera, shape, place, stance.uniform(0, 2 * math.pi), *COOKS[label].thickness(stance))


def _lay_pair(dice, size, labels, chosen):
    """(camera, both dishes, their masks): one way to lay two dishes side by side."""
    look = dice.child("look")
    distance, share, tilt = look.uniform(5, 8), look.uniform(0.2, 0.222), look.uniform(0.0, 0.75)
    centre = size / 2, size * look.uniform(0.46, 0.54)
    camera, foods = Camera(size, tilt, 0.0, distance, share * size * distance, centre), []
    for side, label, toppings, sign in zip("lr", labels, chosen, (-1, 1), strict=True):
        cook, part = COOKS[label], dice.child(side)
        place = (sign * look.uniform(0.25, 0.262) / share, look.uniform(-0.3, 0.3))
        shape = cook.shape(part.child("shape"), part.child("cut").choice(("whole", "lines"), (4, 1)))
        foods.append(_food(label, part, camera, shape, place))
        cook.lay(foods[-1], toppings, part.child("lay"))
    return camera, foods, tuple(_masks(food) for food in foods)


def _masks(food):
    """{part or "dish": bool [H,W]} in the whole picture."""
    label = np.zeros((food.camera.size, food.camera.size), np.uint8)
    label[food.box] = food.canvas.label
    return {part: label == CODE[part] for part in ALL_PARTS} | {"dish": label > 0}


def _visible(masks, parts, least=LEAST_PART):
    return sum(masks[part].mean() >= least for part in parts)


def _apart(masks, labels):
    """Each dish in its own half, large enough, with two naming parts to be seen."""
    left, right = (own["dish"] for own in masks)
    middle = left.shape[1] // 2
    if left[:, middle - 1 :].any() or right[:, : middle + 1].any():
        return False
    seen = [_visible(own, COOKS[label].NAMING, LEAST_PART / 2) for own, label in zip(masks, labels, strict=True)]
    return min(seen) >= 2 and min(left.mean(), right.mean()) >= 0.08
