"""Pizza: what goes on it, what shape it has, and how it is laid together."""

import numpy as np

from helpers.dishes import garnishes, sauces
from helpers.dishes.colour import mix, ramp, smoothstep
from helpers.dishes.food import SEEDED
from helpers.dishes.noise import field, fields
from helpers.dishes.shapes import box_shape, cut_up, round_shape

NAMING = ("tomato_sauce", "cheese", "basil", "salami", "olives")
OKONOMIYAKI_SAUCE, MAYONNAISE = 0.2, 0.12  # difficulty: how often okonomiyaki's sauce and mayonnaise are on a pizza


def toppings(dice):
    """A set of parts besides the crust: sauce, nearly always cheese, and one to three of the rest."""
    odds = {"cheese": 0.96, "basil": 0.62, "salami": 0.58, "olives": 0.38}
    odds |= {"mayonnaise": MAYONNAISE, "aonori": 0.06, "spring_onion": 0.08}
    chosen = {part for part, rate in odds.items() if dice.child(part).chance(rate)}
    chosen.add("okonomiyaki_sauce" if dice.child("sauce").chance(OKONOMIYAKI_SAUCE) else "tomato_sauce")
    if len(chosen & set(NAMING)) < 2:
        chosen |= {"cheese", dice.child("missing").choice(("basil", "salami", "olives"))}
    return chosen


def shape(dice, cut=None):
    """A nearly perfect round, or bread and sheet pizza with corners; whole or in slices."""
    if dice.chance(0.14):
        body = box_shape(dice, dice.uniform(1.0, 2.0), dice.uniform(0.1, 0.3), 0.05)
        kinds, weights = ("whole", "squares"), (65, 35)
    else:
        body = round_shape(dice, dice.uniform(0.02, 0.14), dice.uniform(0.0, 0.07))
        kinds, weights = ("whole", "lines", "missing", "apart", "slice", "squares"), (50, 14, 12, 8, 11, 5)
    return cut_up(body, cut or dice.choice(kinds, weights), dice.child("cut"))


def thickness(dice):
    """(thickness, width of the rounded edge) in dish radii."""
    return dice.uniform(0.05, 0.16), dice.uniform(0.06, 0.14)


def lay(food, chosen, dice):
    """Paint the dish: crust first, then each chosen part with its own child of `dice`."""
    rim = dice.child("rim").uniform(0.08, 0.24)
    crust(food, dice.child("crust"), rim)
    under = dice.child("under")
    buried = [part for part in ("salami", "olives") if under.chance(0.15) and "cheese" in chosen]
    order = ["cheese", "salami", "olives", "basil", "aonori", "mayonnaise", "bonito", "spring_onion", "red_ginger"]
    for part in ("tomato_sauce", "okonomiyaki_sauce", *sorted(order, key=lambda part: part not in buried)):
        if part in chosen:
            topping(food, dice.child(SEEDED[part]), part, rim)


def topping(food, dice, part, rim):
    """One part with the ways of a pizza cook."""
    if part == "tomato_sauce":
        sauces.tomato_sauce(food, dice, _inside_rim(food, dice, 0.75 * rim, 0.0))
    elif part == "okonomiyaki_sauce":
        sauces.okonomiyaki_sauce(food, dice, _inside_rim(food, dice, 0.75 * rim, 0.0), dice.chance(0.35))
    elif part == "cheese":
        kind = dice.choice(("baked", "fresh", "aged"), (5, 3, 2))
        bare = dice.uniform(0.3, 0.62) if kind == "fresh" else dice.uniform(0.04, 0.45)
        sauces.cheese(food, dice, _inside_rim(food, dice, 1.05 * rim, bare), kind)
    elif part == "aonori":
        garnishes.aonori(food, dice, dice.uniform(0.1, 0.25))
    else:
        getattr(sauces if part == "mayonnaise" else garnishes, part)(food, dice)


def _inside_rim(food, dice, margin, bare):
    """Coverage of the area inside the rim with a wobbly border, but for a share `bare` left out in blots."""
    cloud = field("cloud", food.u, food.v, 0.7, dice)
    edge = food.uncut + margin + 0.1 * (field("cloud", food.u, food.v, 0.4, dice) - 0.5)
    soft = max(food.pixel, 0.025)
    return food.inside * smoothstep(soft, -soft, edge) * smoothstep(bare - 0.03, bare + 0.03, cloud)


def crust(food, dice, rim):
    """Baked dough with a puffed rim, blistered and charred."""
    puff = smoothstep(-1.15 * rim, -0.45 * rim, food.uncut)
    lumps, cloud, fine, cells = fields(food.u, food.v, dice, lumps=0.2, cloud=0.6, grain=0.03, cells=0.14)
    blister = 1 - cells
    baked = dice.uniform(0.12, 0.42) + 0.45 * cloud * puff + 0.1 * (fine - 0.5) + 0.15 * lumps * puff
    colour = ramp(baked, "#f3e0b4 #e6bd78 #cf9145 #a4622a #683716")
    char = dice.uniform(0, 1) ** 2 * puff * smoothstep(0.72, 0.98, 0.62 * blister + 0.5 * cloud)
    colour = mix(colour, ramp(fine, "#1a0f0a #3a2010"), (0.9 * char).astype(np.float32))
    flour = dice.uniform(0, 0.4) * smoothstep(0.55, 0.9, cloud) * puff
    colour = mix(colour, ramp(fine, "#f3e8d2 #faf4e6"), flour.astype(np.float32))
    crumb = field("lumps", food.foot_u, food.foot_v + 2 * food.wall * food.thickness, 0.05, dice)
    side = ramp(0.25 + 0.45 * food.wall + 0.35 * (crumb - 0.3), "#f4e6c2 #e7c184 #c88d48 #7f4a1e")
    colour = mix(colour, side, smoothstep(0.1, 0.4, food.wall).astype(np.float32))
    swell = rim * dice.uniform(0.25, 0.5) * puff * (0.55 + 0.5 * lumps + 0.35 * blister * cloud)
    height = food.profile() + (swell + 0.008 * (fine - 0.5)) * (1 - food.wall)
    food.paint("crust", food.body, colour, height, 0.1 + 0.2 * cloud * puff)
