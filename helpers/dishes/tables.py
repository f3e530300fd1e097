"""The six backgrounds: an iron griddle, a white or coloured plate, a wooden board, a dark pan, a table cloth."""

import numpy as np

from helpers.dishes import tableware
from helpers.dishes.camera import turned
from helpers.dishes.canvas import Canvas
from helpers.dishes.colour import jitter, linear, mix, ramp, smoothstep
from helpers.dishes.noise import field, fields, scattered

BACKGROUNDS = ("iron_griddle", "white_plate", "coloured_plate", "wooden_board", "dark_pan", "table_cloth")
SETTINGS = {"dark_pan": tableware.pan, "wooden_board": tableware.board, "table_cloth": tableware.paper}


def set_table(camera, name, dice, seats, plate_colours):
    """A canvas with the table and what the dishes stand on, without the dishes.

    name: one of BACKGROUNDS; seats: for each dish (x, y, radius it needs, radius there is room for); plate_colours: for
    each seat "white" or a name from `tableware.PLATE_COLOURS`, None on backgrounds without plates.
    """
    canvas = Canvas(camera.size, camera.size)
    x, y = (axis.astype(np.float32) for axis in camera.plane())
    middle = camera.size // 2
    pixel = abs(float(x[middle, middle + 1] - x[middle, middle - 1])) / 2
    u, v = turned(x, y, dice.child("turn").bell(0, 0.35))
    if name == "iron_griddle":
        griddle(canvas, u, v, dice.child("griddle"))
    elif name == "table_cloth":
        cloth(canvas, u, v, dice.child("cloth"))
    else:
        top, weights = dice.child("table top"), (1 if name == "wooden_board" else 4, 2.5, 2.5, 2)
        top.choice((wood, cloth, plain, stone), weights)(canvas, u, v, top)
    things = dice.child("things")
    if name != "iron_griddle" and things.chance(0.3):
        tableware.thing_at_the_edge(canvas, camera, x, y, things, pixel)
    for seat, colour in zip(seats, plate_colours, strict=True):
        own = dice.child("setting", seat[:2] if len(seats) > 1 else 0)
        where = x - seat[0], y - seat[1], own, pixel, *seat[2:]
        if colour:
            tableware.plate(canvas, *where, colour)
        elif name in SETTINGS:
            SETTINGS[name](canvas, *where)
    if name == "iron_griddle" and things.chance(0.25):
        tableware.spatula(canvas, camera, x, y, things, pixel)
    return canvas


def griddle(canvas, u, v, dice):
    """A seasoned iron plate: scraped and stained, with an oil film and burnt crumbs."""
    scratches = field("streaks", u, v, 0.035, dice, angle=dice.bell(0, 0.4))
    arcs = field("streaks", u + 0.5 * v * v, v, 0.06, dice, angle=dice.uniform(0, 3))
    cloud, oil = fields(u, v, dice, cloud=2.2, lumps=1.6)
    scraped = 0.05 * (scratches - 0.5) + 0.3 * smoothstep(0.93, 1.0, scratches) * arcs
    tone = dice.uniform(0.12, 0.5) + 0.16 * (cloud - 0.5) + scraped
    colour = ramp(tone, "#0f0e0e #252321 #43403c #6b6660")
    burnt = dice.uniform(0, 0.9) * smoothstep(0.6, 1.0, field("cloud", u, v, 0.9, dice))
    colour = mix(colour, ramp(cloud, "#140b06 #33200f"), burnt)
    crumbs, shade = scattered(u, v, 0.05, dice.uniform(0, 0.12) * burnt, dice)
    colour = mix(colour, ramp(shade, "#3a1d0a #7a4a1c #a8743a"), crumbs)
    canvas.paint(1.0, colour, 0.01 * cloud + 0.0012 * arcs + 0.012 * crumbs, 0.4 + 0.25 * oil * (1 - crumbs))


def wood(canvas, u, v, dice):
    """Planks with grain, knots bending it, and gaps between."""
    width = dice.uniform(0.45, 1.1)
    plank = np.floor(v / width)
    shift = (plank * 0.618) % 1.0
    woods = "#5a3418 #9a6534", "#8a5a2e #c99a62", "#35200f #6b4526", "#a98058 #dcc09a", "#6f4a35 #a17b5f"
    colour, height = tableware.wood_grain(u + 7.3 * shift, v, dice, dice.choice(woods))
    dark = smoothstep(0.475, 0.495, np.abs(v / width - plank - 0.5))
    colour = colour * (0.85 + 0.3 * shift).astype(np.float32) * (1 - 0.8 * dark).astype(np.float32)
    canvas.paint(1.0, colour, height - 0.03 * dark, dice.uniform(0.05, 0.4))


def cloth(canvas, u, v, dice):
    """Woven cloth: plain, striped or checked, with soft folds."""
    folds, weave = fields(u, v, dice, cloud=2.2, grain=0.02)
    size = dice.uniform(0.14, 0.4)
    ground = linear(dice.choice(("#f1ece0", "#e9e4d8", "#dcd3c0", "#f4f2ee")))
    dye = linear(dice.choice(("#b3262a", "#2f5a8f", "#3e7a4a", "#c98a2a", "#7a3b52", "#44474f", "#8f6a48")))
    across, along = (smoothstep(0.2, 0.3, np.abs((w / size) % 1 - 0.5)) for w in (u, v))
    kind = dice.choice(("checked", "striped", "plain", "lines"), (4, 3, 3, 2))
    pattern = {
        "checked": 0.5 * (across + along),
        "striped": across,
        "plain": np.full(u.shape, dice.choice((0.0, 0.9))),
        "lines": smoothstep(0.4, 0.43, np.abs((u / (3 * size)) % 1 - 0.5)),
    }[kind]
    colour = mix(ground[:, None, None], dye[:, None, None], pattern) * (0.86 + 0.2 * weave)
    canvas.paint(1.0, colour.astype(np.float32), 0.1 * folds + 0.004 * weave, 0.03)


def plain(canvas, u, v, dice):
    """A smooth table in one colour."""
    cloud = field("cloud", u, v, 1.5, dice)
    colour = jitter(linear(dice.choice(("#d8d4cc", "#b9b4aa", "#8d8a86", "#5d6a72", "#e9e3d4", "#3c3a3c"))), dice)
    shade = (0.92 + 0.14 * cloud).astype(np.float32)
    canvas.paint(1.0, colour[:, None, None] * shade, 0.02 * cloud, dice.uniform(0.1, 0.5))


def stone(canvas, u, v, dice):
    """Slate or granite: clouds, specks, a little relief."""
    cloud, fine = fields(u, v, dice, cloud=0.8, grain=0.04)
    tones = dice.choice(("#1c1d1f #3d4043", "#2a2623 #57504a", "#8a8782 #c4c0ba"))
    canvas.paint(1.0, ramp(0.55 * cloud + 0.45 * fine, tones), 0.03 * cloud + 0.006 * fine, 0.25)
