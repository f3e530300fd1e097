"""Kitchen scenes and the one true sentence about each, read off its masks."""

import itertools

from helpers import dishes
from helpers.dishes.dice import Dice

VISIBLE = 0.005  # of the picture: what covers less is not named
PLACE_VISIBLE = 0.15  # of the picture must be beside the dish, else the place is not named
TRAIN_SEEDS, TEST_SEEDS = range(100_000, 124_000), range(30_000, 30_200)  # of the shipped captioner's scenes
COLOURS = ("red", "yellow", "blue", "green")  # of the kitchen's plates, those used here
MENU = {  # what can be told at 96x96 pixels; olives and spring onion are left in the kitchen
    "okonomiyaki": ("okonomiyaki_sauce", "mayonnaise", "aonori", "bonito", "red_ginger"),
    "pizza": ("tomato_sauce", "cheese", "basil", "salami", "mayonnaise"),
}
NAMED = tuple(part for part in dishes.TOPPINGS if part in MENU["okonomiyaki"] + MENU["pizza"])
PHRASES = {part: part.replace("_", " ") for part in NAMED} | {"bonito": "bonito flakes"}
PLACES = {name: f"on a {name.replace('_', ' ')}" for name in dishes.BACKGROUNDS}
PLACES |= {"iron_griddle": "on an iron griddle", "coloured_plate": "on a {colour} plate", "dark_pan": "in a dark pan"}


def draw(seed, size=96):
    """A scene for captions, a `dishes.Dish`: one dish, one to three toppings of its menu, no close-up.

    Dish, toppings and background are drawn at random, each topping as likely as any other of the menu, so that none can
    be guessed from the rest of the picture.
    """
    dice = Dice(seed, "sentence")
    label = dice.choice(dishes.LABELS)
    background = dice.choice(dishes.BACKGROUNDS)
    colour = dice.choice(COLOURS) if background == "coloured_plate" else None
    toppings = shuffled(MENU[label], dice)[: dice.whole(1, 3)]
    return dishes.render(label, seed, size, background, set(toppings), colour, close_up=False)


def shuffled(items, dice):
    """The items in random order."""
    return sorted(items, key=lambda _: dice.uniform())


def visible(masks):
    """The toppings of the menus that cover at least `VISIBLE` of the picture, in the kitchen's order."""
    return tuple(part for part in NAMED if masks[part].mean() >= VISIBLE)


def caption(dish):
    """The sentence about a dish: what it is, each visible topping, and the place if there is enough of it to see."""
    words = ["an" if dish.label == "okonomiyaki" else "a", dish.label]
    named = [PHRASES[part] for part in visible(dish.masks)]
    if named:
        words += ["with", ", ".join(named[:-1]), "and", named[-1]] if named[1:] else ["with", *named]
    if 1 - dish.masks["dish"].mean() >= PLACE_VISIBLE:
        words.append(PLACES[dish.background].format(colour=dish.plate_colour))
    return " ".join(words)


def all_words():
    """Sentences that hold every word of the grammar."""
    places = [place.format(colour=colour) for place, colour in itertools.product(PLACES.values(), COLOURS)]
    return ["a, an and with", *dishes.LABELS, *PHRASES.values(), *places]
