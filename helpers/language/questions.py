"""Kitchen tables with one or two dishes, and questions about them with the true answers."""

import itertools
from typing import NamedTuple

import numpy as np

from helpers import dishes
from helpers.dishes.dice import Dice
from helpers.language import sentences
from helpers.language.sentences import COLOURS, PHRASES, PLACE_VISIBLE

SUPPORTS = ("griddle", "plate", "board", "pan", "cloth")  # each is the last word of the backgrounds that have it
BACKGROUND_WEIGHTS = (2, 2, 6, 1, 1, 1)  # coloured plates are half of it: their colours are the hardest question
KINDS = ("colour", "count", "place", "presence")
ASK_COLOUR = ("what colour is the plate?", "which colour does the plate have?")
ASK_COUNT = ("how many dishes are there?", "how many dishes do you see?")
ASK_PLACE = ("what is on the {}?", "what lies on the {}?")
ASK_PRESENCE = ("{verb} there {}?", "do you see {}?")
PAIRS = tuple(f"{first} and {second}" for first, second in itertools.combinations(COLOURS, 2))
BOTH = " and ".join(dishes.LABELS)
ANSWERS = ("yes", "no", "one", "two", *dishes.LABELS, BOTH, "nothing", "no plate", "white", *COLOURS, *PAIRS)
TRAIN_SEEDS, TEST_SEEDS = range(100_000, 118_000), range(30_000, 30_200)  # of the shipped network's tables


class Table(NamedTuple):
    """A picture with one or two dishes: image uint8 [H, W, 3]; for each dish its label, masks and plate colour."""

    image: np.ndarray
    background: str
    labels: tuple
    masks: tuple
    plate_colours: tuple


class Question(NamedTuple):
    """text: the question; answer: one of ANSWERS; kind: one of KINDS; about: bool [H, W], the pixels it is about (all
    False for something that is not there)."""

    text: str
    answer: str
    kind: str
    about: np.ndarray


def draw(seed, size=96):
    """A table for questions, with one or two dishes, at random.

    A single dish leaves at least `sentences.PLACE_VISIBLE` of the picture to the table, so that its place can be told.
    """
    dice = Dice(seed, "question")
    background = dice.choice(dishes.BACKGROUNDS, BACKGROUND_WEIGHTS)
    if dice.chance(0.5):
        return _pair(seed, dice, size, background, None)
    colour = dice.choice(COLOURS) if background == "coloured_plate" else None
    label = dice.choice(dishes.LABELS)
    for further in itertools.count(seed, 1_000_000):
        dish = dishes.render(label, further, size, background, plate_colour=colour, close_up=False)
        if 1 - dish.masks["dish"].mean() >= PLACE_VISIBLE:
            return Table(dish.image, background, (label,), (dish.masks,), (dish.plate_colour,))


def two_plates(seed, colours):
    """A table with two dishes on plates of the two given colours (of COLOURS), left and right."""
    return _pair(seed, Dice(seed, "two plates"), 96, "coloured_plate", tuple(colours))


def _pair(seed, dice, size, background, colours):
    labels = dice.choice(dishes.LABELS), dice.choice(dishes.LABELS)
    if background == "coloured_plate":
        colours = colours or (dice.choice(COLOURS), dice.choice(COLOURS))
    both = dishes.two_dishes(seed, size, labels, background, colours)
    return Table(both.image, background, labels, both.masks, both.plate_colours)


def ask(table, seed):
    """Eight questions about a table, wording and subject drawn at random.

    One for the plate's colour (about all that is beside the food), one for the number of dishes, two for what lies on
    something (the second of them on something that is not there), four for toppings: two that cover `sentences.VISIBLE`
    of the picture and two that are wholly absent, as far as there are. What covers less is never asked for.
    """
    dice = Dice(seed, "asked")
    share = {part: mask(table, part).mean() for part in sentences.NAMED}
    here = table.background.split("_")[-1]
    elsewhere = sentences.shuffled([name for name in SUPPORTS if name != here], dice)[0]
    there = sentences.shuffled([part for part in share if share[part] >= sentences.VISIBLE], dice)
    absent = sentences.shuffled([part for part in share if share[part] == 0], dice)
    dish, number = mask(table, "dish"), ("one", "two")[len(table.labels) - 1]
    named = " and ".join(colour for colour in (*COLOURS, "white") if colour in table.plate_colours)
    asked = [Question(dice.choice(ASK_COLOUR), named or "no plate", "colour", ~dish & bool(named))]
    asked += [Question(dice.choice(ASK_COUNT), number, "count", dish)]
    asked += [place(table, here, dice), place(table, elsewhere, dice)]
    return asked + [presence(table, part, dice) for part in (there[:2] + absent + there[2:])[:4]]


def mask(table, part):
    """bool [H, W]: where a part, or "dish", is seen in any of the dishes."""
    return np.any([masks[part] for masks in table.masks], axis=0)


def place(table, support, dice):
    """The question what is on a support (one of SUPPORTS), which may not be there."""
    here = table.background.endswith(support)
    answer = " and ".join(label for label in dishes.LABELS if label in table.labels and here) or "nothing"
    return Question(dice.choice(ASK_PLACE).format(support), answer, "place", mask(table, "dish") & here)


def presence(table, part, dice):
    """The question whether a topping is there."""
    where = mask(table, part)
    return Question(_about(part, dice.choice(ASK_PRESENCE)), "yes" if where.any() else "no", "presence", where)


def _about(part, text):
    return text.format(PHRASES[part], verb="are" if PHRASES[part].endswith("s") else "is")


def all_texts():
    """Every question of the grammar."""
    places = [text.format(name) for text in ASK_PLACE for name in SUPPORTS]
    return [*ASK_COLOUR, *ASK_COUNT, *places, *(_about(part, text) for text in ASK_PRESENCE for part in PHRASES)]
