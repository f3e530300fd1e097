"""What stands on the table: plates, pans, boards, paper, and things at the edge of the picture.

Each is drawn at the offsets dx, dy [H,W] (float32, dish radii) from its middle; pixel is the width of a pixel. What
lies under a dish is larger than the radius `need`, but never than the `room` there is.
"""

import math

import numpy as np

from helpers.dishes.camera import turned
from helpers.dishes.colour import flat, jitter, linear, mix, ramp, smoothstep
from helpers.dishes.noise import field, fields

PLATE_COLOURS = {"red": "#a8231f", "yellow": "#e0b52e", "blue": "#2f5796", "green": "#4a7d46"}
PLATE_COLOURS |= {"black": "#232426", "pink": "#d68a9a", "brown": "#6d4630"}
GLAZES = {"white": "#ece9e2", **PLATE_COLOURS}


def plate(canvas, dx, dy, dice, pixel, need, room, colour):
    """A glazed plate: a flat well, a rising rim, sometimes a painted line; colour "white" or of PLATE_COLOURS."""
    radius = min(need * dice.uniform(1.15, 1.55), room)
    dx, dy = dx - dice.bell(0, 0.03), dy - dice.bell(0, 0.03)
    if dice.chance(0.14):
        r = (dx**6 + dy**6) ** (1 / 6) / radius
    else:
        r = np.sqrt(dx * dx + (dy * dice.choice((1.0, 1.18), (6, 1))) ** 2) / radius
    well = dice.uniform(0.66, 0.82)
    rim = smoothstep(well - 0.05, well + 0.05, r) * 0.05 + 0.12 * np.clip(r - well, 0, 1)
    lip = 0.02 * smoothstep(0.955, 0.98, r)
    glaze = jitter(linear(GLAZES[colour]), dice, 0.05)
    tint = glaze[:, None, None] * (0.97 + 0.06 * field("cloud", dx, dy, 1.2, dice)).astype(np.float32)
    if dice.chance(0.3):
        line = smoothstep(0.025, 0.015, np.abs(r - dice.uniform(well + 0.06, 0.93)))
        accent = dice.choice(("#3a5a8c", "#8c2f2a", "#5a6b3c", "#b99a4a")) if colour == "white" else "#efe8d8"
        tint = mix(tint, flat(linear(accent)), line)
    cover = np.clip(0.5 + (1 - r) / (pixel / radius), 0, 1)
    canvas.paint(cover, tint.astype(np.float32), 0.03 + radius * (rim + lip), dice.uniform(0.45, 0.8))


def pan(canvas, dx, dy, dice, pixel, need, room):
    """An iron pan: black bottom, standing wall, a handle to one side."""
    radius = min(need * dice.uniform(1.1, 1.3), room)
    r = np.sqrt(dx * dx + dy * dy)
    along, across = turned(dx, dy, dice.uniform(0.3, 2.8) if dice.chance(0.8) else dice.uniform(0, 6.3))
    grain, cloud = fields(dx, dy, dice, grain=0.04, cloud=0.9)
    iron = ramp(dice.uniform(0.1, 0.45) + 0.35 * cloud + 0.1 * grain, "#0d0c0c #222122 #3a3735 #55504c")
    half = dice.uniform(0.1, 0.15) * (1 + 0.25 * smoothstep(radius, 2.2 * radius, along))
    handle = np.clip(0.5 + (half - np.abs(across)) / pixel, 0, 1) * (along > 0.5 * radius) * (along < 2.3 * radius)
    canvas.paint(handle, iron, 0.12 + 0.35 * np.sqrt(np.clip(half**2 - across**2, 0, 1)), 0.5)
    cover, wall = np.clip(0.5 + (1.07 * radius - r) / pixel, 0, 1), smoothstep(radius * 0.93, radius * 1.04, r)
    canvas.paint(cover, iron, 0.02 + 0.24 * wall + 0.006 * grain, 0.35 + 0.4 * cloud)


def board(canvas, dx, dy, dice, pixel, need, room):
    """A wooden board, round or with corners, sometimes so large that it fills the picture."""
    u, v = turned(dx, dy, dice.uniform(-0.5, 0.5))
    radius = min(need * dice.uniform(1.12, 1.5), room)
    if dice.chance(0.45):
        edge = np.sqrt(u * u + v * v) - radius
        edge = np.minimum(edge, np.maximum(np.abs(v) - 0.2, np.abs(u - radius) - 0.5)) if dice.chance(0.6) else edge
    else:
        edge = np.maximum(np.abs(u) - radius * dice.uniform(1.0, 1.5), np.abs(v) - radius)
    woods = "#7a4a22 #c08a50", "#a87a48 #dcb886", "#4a2a14 #85572f", "#93633a #cfa172"
    colour, height = wood_grain(u, v, dice, dice.choice(woods))
    cover, top = np.clip(0.5 - edge / pixel, 0, 1), 0.1 * smoothstep(0.0, -0.05, edge)
    canvas.paint(cover, colour, top + height, dice.uniform(0.05, 0.35))


def wood_grain(u, v, dice, palette):
    """(colour, height) of sawn wood, its fibres along u."""
    bend = field("cloud", 0.4 * u, v, 1.8, dice)
    rings = field("streaks", u, v + 0.35 * bend, 0.09, dice, angle=0.0)
    fibres = field("streaks", u, v, 0.025, dice, angle=0.0)
    tone = 0.25 + 0.4 * rings + 0.3 * (bend - 0.5) + 0.22 * (fibres - 0.5)
    return ramp(tone, palette), 0.008 * fibres + 0.008 * rings


def paper(canvas, dx, dy, dice, pixel, need, room):
    """A crumpled sheet of baking paper, as often as not."""
    if not dice.chance(0.45):
        return
    u, v = turned(dx, dy, dice.uniform(0, 1.6))
    crumple = field("cells", u, v, 0.5, dice)
    edge = np.maximum(np.abs(u), np.abs(v) * dice.uniform(0.9, 1.2)) - min(need * dice.uniform(1.1, 1.35), room)
    shades = dice.choice(("#d9cbb0 #efe6d2", "#a98458 #c8a678", "#e4e2de #f6f5f2"))
    cover = np.clip(0.5 - (edge + 0.02 * crumple) / pixel, 0, 1)
    canvas.paint(cover, ramp(0.4 + 0.6 * crumple, shades), 0.02 + 0.03 * crumple, 0.12)


def thing_at_the_edge(canvas, camera, x, y, dice, pixel):
    """A second object, half out of the picture: a bowl, chopsticks, a fork, tomatoes, a napkin; x, y: the table's."""
    size = camera.size
    across, side = dice.uniform(0, size), dice.uniform(-0.06, 0.1) * size
    here = camera.meet(*dice.choice(((across, side), (side, across), (size - side, across))))
    draw = dice.choice((bowl, chopsticks, fork, tomatoes, napkin), (4, 3, 2, 1.5, 2))
    draw(canvas, x - here[0], y - here[1], dice, pixel)


def bowl(canvas, dx, dy, dice, pixel):
    """A small bowl or cup with sauce, tea or soup."""
    radius = dice.uniform(0.28, 0.5)
    r = np.sqrt(dx * dx + dy * dy)
    glaze = jitter(linear(dice.choice(("#e8e4da", "#2c3440", "#6b3f2a", "#c9c2b2", "#1f1f1f", "#59707c"))), dice)
    rim = smoothstep(radius * 0.85, radius * 0.95, r)
    canvas.paint(np.clip(0.5 + (radius - r) / pixel, 0, 1), glaze, 0.1 + 0.25 * rim, 0.7)
    liquid = linear(dice.choice(("#2a120a", "#6b7a2e", "#8a5a1e", "#7c1a10", "#e9dfc4")))
    canvas.paint(np.clip(0.5 + (0.84 * radius - r) / pixel, 0, 1), liquid, 0.14, 1.0)


def chopsticks(canvas, dx, dy, dice, pixel):
    angle, tint = dice.uniform(0, 3.2), linear(dice.choice(("#7a2018", "#2a1a14", "#b98a50", "#1c1c1c")))
    for offset, turn in ((0.0, angle), (dice.uniform(0.1, 0.16), angle + dice.uniform(-0.05, 0.05))):
        along, across = turned(dx, dy, turn)
        across = across - offset
        half = 0.028 + 0.006 * np.clip(along, -2, 2)
        cover = np.clip(0.5 + (half - np.abs(across)) / pixel, 0, 1) * (np.abs(along) < 1.6)
        canvas.paint(cover, tint, 0.05 + np.sqrt(np.clip(half**2 - across**2, 0, 1)), 0.6)


def fork(canvas, dx, dy, dice, pixel):
    """A steel fork: handle, neck and four tines."""
    along, across = turned(dx, dy, dice.uniform(0, 6.3))
    half = np.where(along > 0.25, 0.1, 0.035 + 0.02 * smoothstep(-0.3, -1.2, along))
    solid = (half - np.abs(across)) * (np.abs(along + 0.35) < 1.0)
    tines = np.where(along > 0.38, 0.014 - np.abs((across + 0.025) % 0.05 - 0.025), 1.0)
    cover = np.clip(0.5 + np.minimum(solid, tines) / pixel, 0, 1) * (solid > 0)
    canvas.paint(cover, linear("#a9abad"), 0.05 + 0.5 * np.clip(half - np.abs(across), 0, 0.05), 0.95)


def tomatoes(canvas, dx, dy, dice, pixel):
    for _ in range(dice.whole(2, 3)):
        ox, oy, radius = dice.uniform(-0.3, 0.3), dice.uniform(-0.3, 0.3), dice.uniform(0.12, 0.17)
        r = np.sqrt((dx - ox) ** 2 + (dy - oy) ** 2)
        dome = np.sqrt(np.clip(radius**2 - r * r, 0, 1))
        canvas.paint(np.clip(0.5 + (radius - r) / pixel, 0, 1), linear("#b01c12"), radius + 0.8 * dome, 0.9)


def napkin(canvas, dx, dy, dice, pixel):
    u, v = turned(dx, dy, dice.uniform(0, 1.6))
    edge = np.maximum(np.abs(u) - 0.6, np.abs(v) - 0.45)
    tint = jitter(linear(dice.choice(("#efece6", "#a53a34", "#4a6285", "#d9c9a0", "#6f7f5c"))), dice)
    colour = tint[:, None, None] * (0.85 + 0.2 * field("grain", dx, dy, 0.03, dice))
    canvas.paint(np.clip(0.5 - edge / pixel, 0, 1), colour.astype(np.float32), 0.05 + 0.03 * (u > 0.1), 0.03)


def spatula(canvas, camera, x, y, dice, pixel):
    """The steel spatula (kote) of a griddle, reaching in from below or from the side; x, y: the table's."""
    size = camera.size
    corner = dice.choice(((dice.uniform(0.1, 0.9) * size, size), (0.0, dice.uniform(0.5, 1) * size)))
    here, middle = camera.meet(*corner), camera.meet(size / 2, size / 2)
    angle = math.atan2(middle[1] - here[1], middle[0] - here[0]) + dice.uniform(-0.7, 0.7)
    along, across = turned(x - here[0], y - here[1], angle)
    half = np.where(along > 0, 0.2 + 0.14 * np.clip(along, 0, 0.5), 0.07)
    cover = np.clip(0.5 + np.minimum(half - np.abs(across), 0.5 - along) / pixel, 0, 1)
    brushed = field("streaks", along, across, 0.03, dice, angle=0.0)
    canvas.paint(cover, ramp(brushed, "#55565a #9fa1a4"), 0.1 - 0.12 * along, 0.95)
