"""Okonomiyaki: what goes on it, what shape it has, and how it is laid together."""

import numpy as np

from helpers.dishes import garnishes, sauces
from helpers.dishes.colour import mix, ramp, smoothstep
from helpers.dishes.food import SEEDED
from helpers.dishes.noise import field, fields
from helpers.dishes.shapes import box_shape, cut_up, round_shape

NAMING = ("mayonnaise", "aonori", "bonito", "red_ginger", "spring_onion")
RED_SAUCE, CHEESE = 0.26, 0.3  # difficulty: how often a red sauce, how often cheese, both pizza's own


def toppings(dice):
    """A set of parts besides the batter: always two of mayonnaise, aonori, bonito and red ginger."""
    odds = {"mayonnaise": 0.74, "aonori": 0.8, "bonito": 0.62, "red_ginger": 0.36, "spring_onion": 0.32}
    chosen = {part for part, rate in {**odds, "cheese": CHEESE}.items() if dice.child(part).chance(rate)}
    if dice.child("sauce").chance(0.95):
        chosen.add("okonomiyaki_sauce")
    draw = dice.child("missing")
    while len(missing := [part for part in NAMING[:4] if part not in chosen]) > 2:
        chosen.add(draw.choice(missing))
    return chosen


def shape(dice, cut=None):
    """An uneven round, now and then a rectangle, sometimes cut with the spatula."""
    if dice.chance(0.07):
        body = box_shape(dice, dice.uniform(1.0, 1.5), dice.uniform(0.15, 0.35), 0.12)
    else:
        body = round_shape(dice, dice.uniform(0.04, 0.13), dice.uniform(0.03, 0.09))
    kinds, weights = ("whole", "lines", "missing", "apart", "slice", "squares"), (62, 8, 6, 5, 6, 9)
    return cut_up(body, cut or dice.choice(kinds, weights), dice.child("cut"))


def thickness(dice):
    """(thickness, width of the rounded edge) in dish radii."""
    return dice.uniform(0.15, 0.3), dice.uniform(0.14, 0.3)


def lay(food, chosen, dice):
    """Paint the dish: batter first, then each chosen part with its own child of `dice`."""
    batter(food, dice.child("batter"))
    order = ["okonomiyaki_sauce", "cheese", "tomato_sauce", "salami", "mayonnaise", "aonori", "spring_onion", "bonito"]
    for part, place, lot, rate in (("cheese", 0, "cheese under", 0.6), ("bonito", 4, "order", 0.3)):
        if dice.child(lot).chance(rate):
            order.remove(part)
            order.insert(place, part)
    for part in (*order, "basil", "olives", "red_ginger"):
        if part in chosen:
            topping(food, dice.child(SEEDED[part]), part, "mayonnaise" in chosen)


def topping(food, dice, part, may_be_red):
    """One part with the ways of an okonomiyaki cook; red sauce without mayonnaise would be a pizza to anybody."""
    if part == "okonomiyaki_sauce":
        area = sauces.brushed_area(food, dice, dice.uniform(0.04, 0.2), dice.uniform(0.0, 0.14))
        sauces.okonomiyaki_sauce(food, dice, area, may_be_red and dice.chance(RED_SAUCE))
    elif part == "cheese":
        area = sauces.brushed_area(food, dice, dice.uniform(0.15, 0.4), dice.uniform(0.35, 0.65))
        sauces.cheese(food, dice, area, dice.choice(("baked", "aged")))
    elif part == "tomato_sauce":
        sauces.tomato_sauce(food, dice, sauces.brushed_area(food, dice, 0.3, 0.35))
    else:
        getattr(sauces if part == "mayonnaise" else garnishes, part)(food, dice)


def batter(food, dice):
    """Fried batter with cabbage in it: golden, browned in patches, paler at the side."""
    lumps, cloud, fine = fields(food.u, food.v, dice, lumps=0.3, cloud=0.75, grain=0.035)
    edge = smoothstep(-0.35, 0.0, food.uncut)
    brown = dice.uniform(0.05, 0.4) + 0.55 * cloud + 0.15 * lumps + 0.12 * (fine - 0.5) - 0.12 * edge
    colour = ramp(brown, "#ecdcae #dcb873 #bf8745 #8d5426 #4a2810")
    shreds = field("fibres", food.u + 0.2 * cloud, food.v + 0.2 * lumps, 0.035, dice)
    colour = mix(colour, ramp(lumps, "#e9e2a4 #c9d48a"), 0.55 * smoothstep(0.86, 0.95, shreds))
    colour = mix(colour, _side(food, dice), smoothstep(0.0, 0.12, food.wall).astype(np.float32))
    bumps = 0.05 * (lumps - 0.5) + 0.012 * (fine - 0.5) + 0.02 * smoothstep(0.8, 0.95, shreds)
    mound = dice.uniform(0.02, 0.12) * smoothstep(0.0, -0.9, food.uncut)
    height = food.profile() + mound * (1 - food.wall) + bumps * (1 - 0.5 * food.wall)
    food.paint("batter", food.body, colour, height, 0.08 + 0.15 * cloud)


def _side(food, dice):
    """The side of the cake: pale and full of cabbage in the middle, fried at the top and at the foot."""
    level = food.foot_v + 2 * (food.wall * food.thickness)
    crumbs, cabbage = fields(food.foot_u, level, dice, lumps=0.07, fibres=0.05)
    fried = np.maximum(smoothstep(0.35, 0.0, food.wall), smoothstep(0.6, 1.0, food.wall))
    colour = ramp(fried * 0.8 + 0.35 * (crumbs - 0.5), "#efdfa8 #e2bd70 #c08238 #7e481c")
    return mix(colour, ramp(crumbs, "#dfe0a0 #b9c97c"), 0.6 * smoothstep(0.75, 0.9, cabbage))
