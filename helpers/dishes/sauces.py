"""What is poured, spread or melted: okonomiyaki sauce, tomato sauce, cheese, mayonnaise."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from helpers.dishes.camera import turned
from helpers.dishes.colour import flat, jitter, linear, mix, ramp, smoothstep
from helpers.dishes.noise import field, fields

REACH = 0.95  # dish radii: how far out lines of mayonnaise go
CHEESES = {
    "baked": "#d99a35 #eec25e #f5d98a #f8e6b4",
    "fresh": "#e6cf9c #eedfbb #f2e6cb #f3ead6",
    "aged": "#cf7d20 #e6a43a #efbd55 #f3cf7c",
}


def smoothed(food, width):
    """The surface as a thick liquid sees it: heights blurred over `width` dish radii."""
    return gaussian_filter(food.canvas.height, max(0.6, width / food.pixel), truncate=2.5)


def absorbed(absorption, thickness):
    """float32 [3,h,w]: the share of light that gets through a coloured liquid (Beer-Lambert)."""
    return np.exp(-flat(absorption) * thickness.astype(np.float32))


def okonomiyaki_sauce(food, dice, cover, red=False):
    """Sauce with the given coverage: amber where brushed thin, nearly black where it pools."""
    turn = dice.uniform(0, math.pi)
    brush = field("streaks", food.u, food.v, 0.1, dice, angle=turn)
    pools = field("cloud", food.u, food.v, 0.55, dice)
    thickness = cover * np.clip(dice.uniform(0.25, 0.6) + 1.3 * pools + 0.5 * (brush - 0.5), 0.12, 2.2)
    absorption, own = ((1.1, 3.4, 5.4), linear("#7d1d0c")) if red else ((1.9, 3.5, 5.6), linear("#36150a"))
    through = absorbed(absorption, thickness * dice.uniform(0.9, 1.5))
    colour = food.canvas.colour * through + flat(jitter(own, dice)) * (1 - through)
    lumps = field("lumps", food.u, food.v, 0.17, dice)
    height = smoothed(food, 0.07) + 0.02 * cover + 0.016 * lumps + 0.008 * pools
    food.paint("okonomiyaki_sauce", cover, colour, height, dice.uniform(0.75, 1.0))


def brushed_area(food, dice, margin, share):
    """Coverage of a sauce spread with a brush: up to `margin` from the edge, wobbly, with `share` of it covered."""
    cloud = field("cloud", food.u, food.v, 0.8, dice)
    edge = food.uncut + margin + 0.22 * (cloud - 0.5)
    soft = max(1.2 * food.pixel, 0.03)
    return food.inside * smoothstep(soft, -soft, edge) * smoothstep(share - 0.03, share + 0.03, cloud)


def tomato_sauce(food, dice, cover):
    """Crushed tomato: red, pulpy, orange where oil stands."""
    pulp, cloud = fields(food.u, food.v, dice, lumps=dice.uniform(0.08, 0.15), cloud=0.6)
    through = absorbed((0.5, 3.0, 4.5), cover * (0.5 + 0.9 * cloud + 0.5 * pulp))
    shades = "#7c1509 #ab2410 #c23a16 #d2602a" if dice.chance(0.7) else "#5a1a10 #86291a #9d3f22 #b4683a"
    own = ramp(0.55 * cloud + 0.45 * pulp, shades) * dice.uniform(0.8, 1.15)
    colour = mix(own, food.canvas.colour * flat((0.9, 0.35, 0.15)), through)
    height = smoothed(food, 0.05) + 0.012 * cover + 0.014 * pulp + 0.012 * pulp * cloud
    food.paint("tomato_sauce", cover, colour, height, 0.35 + 0.5 * cloud)


def cheese(food, dice, cover, kind):
    """Melted cheese of a kind in CHEESES: thick and smooth, thin at its edges, oily, with browned blisters."""
    cells, cloud, lumps = fields(food.u, food.v, dice, cells=0.13, cloud=0.7, lumps=0.16)
    bubbles = 1 - cells
    thickness = cover * (0.6 + 2.2 * lumps + 0.8 * cloud)
    colour = ramp(0.55 * cloud + 0.45 * lumps, CHEESES[kind]) * dice.uniform(0.8, 1.0)
    colour = mix(food.canvas.colour, colour, 1 - np.exp(-3.2 * thickness.astype(np.float32)))
    browning = dice.uniform(0.1, 0.65) * (0.35 if kind == "fresh" else 1.0)
    blisters = bubbles * 0.62 + 0.55 * field("cloud", food.u, food.v, 0.5, dice) - 0.28 + browning * 0.5
    spots = (smoothstep(0.45, 1.0, blisters) * browning * 1.35).astype(np.float32)
    colour = mix(colour, ramp(spots, "#dd9a3c #b8691f #6d3412"), np.minimum(1, 1.3 * spots))
    height = smoothed(food, 0.06) + 0.045 * cover * (0.6 + 0.5 * lumps) + 0.02 * bubbles * bubbles
    food.paint("cheese", cover, colour, height, 0.55 + 0.4 * cloud - 0.35 * spots)


def line_pattern(food, dice, kind, spacing):
    """Distance, in dish radii, to the centre line of a squeezed pattern: zigzag, grid, spiral, rings or loose."""
    bend = 0.16 if kind == "loose" else 0.06
    u, v = (w + bend * (field("lumps", food.u, food.v, 0.6, dice) - 0.5) for w in (food.u, food.v))
    p, q = turned(u, v, dice.uniform(0, 2 * math.pi))
    if kind in ("spiral", "rings"):
        radius = np.sqrt(p * p + q * q)
        winding = np.arctan2(q.astype(float), p.astype(float)) / (2 * math.pi) if kind == "spiral" else 0.0
        return np.abs((radius / spacing + winding + 0.5) % 1 - 0.5) * spacing
    first = _zigzag(p, q, spacing)
    return np.minimum(first, _zigzag(q, p, spacing)) if kind == "grid" else first


def _zigzag(p, q, spacing):
    """Distance to one line that runs to and fro along p between ±REACH and advances by `spacing` along q."""
    phase = (q / spacing + 0.25 * p / REACH) % 1.0
    back = (q / spacing - 0.25 * p / REACH + 0.5) % 1.0
    stroke = np.minimum(np.abs(phase - 0.5), np.abs(back - 0.5)) * spacing
    return np.where(np.abs(p) < REACH, stroke, np.maximum(stroke, np.abs(p) - REACH))


def mayonnaise(food, dice):
    """A squeezed line with a round back, laid on the smoothed surface."""
    kind = dice.choice(("zigzag", "grid", "spiral", "loose", "rings"), (6, 2, 0.8, 3, 0.3))
    spacing = dice.uniform(0.13, 0.34) * (1.4 if kind == "grid" else 1.0)
    width = min(dice.uniform(0.011, 0.028), 0.15 * spacing)
    pulse = field("lumps", food.u, food.v, 0.3, dice)
    width = width * (0.75 + 0.5 * pulse)
    distance = line_pattern(food, dice, kind, spacing)
    cover = np.clip(0.5 + (width - distance) / food.pixel, 0, 1) * food.within(dice.uniform(0.0, 0.14))
    cover = cover * smoothstep(0.01, 0.05, pulse)
    back = np.sqrt(np.clip(1 - (distance / np.maximum(width, food.pixel)) ** 2, 0, 1))
    colour = ramp(0.25 + 0.75 * back, "#e3cf94 #efe2bd #f7efd8") * dice.uniform(0.84, 0.97)
    food.paint("mayonnaise", cover, colour, smoothed(food, 0.04) + 0.9 * width * back, 0.6)
