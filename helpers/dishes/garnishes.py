"""What is sprinkled or laid on top: aonori, bonito, red ginger, spring onion, basil, salami, olives."""

import math

import numpy as np

from helpers.dishes.colour import jitter, linear, mix, ramp, smoothstep
from helpers.dishes.noise import field, fields, scattered


def places(dice, count, spread, gather=None):
    """`count` dish points (u, v): evenly over a disc of radius `spread`, or heaped around the point `gather`."""
    for _ in range(count):
        if gather:
            yield dice.bell(gather[0], spread), dice.bell(gather[1], spread)
        else:
            radius, angle = spread * math.sqrt(dice.uniform()), dice.uniform(0, 2 * math.pi)
            yield radius * math.cos(angle), radius * math.sin(angle)


def spaced(dice, count, spread, distance):
    """Like `places`, but at least `distance` apart as far as there is room."""
    chosen = []
    for u, v in places(dice, 6 * count, spread):
        if all((u - a) ** 2 + (v - b) ** 2 > distance**2 for a, b in chosen):
            chosen.append((u, v))
    return chosen[:count]


def stamp(food, part, window, depth, colour, lift, gloss, opacity=1.0):
    """Lay one small thing on a window of the picture; nothing happens where the window is empty.

    depth: signed distance to its outline in dish radii, positive inside; lift: height above the surface below.
    """
    under = food.canvas.height[window]
    if under.size:
        cover = np.clip(0.5 + depth / food.pixel, 0, 1) * food.inside[window]
        middle = under.ravel()[under.size // 2]
        food.paint(part, cover, colour, 0.5 * under + 0.5 * middle + lift, gloss, opacity, window)


def aonori(food, dice, amount=None):
    """Green laver flakes: two noises decide where they lie thick."""
    amount = dice.uniform(0.12, 0.5) if amount is None else amount
    cloud, lumps = fields(food.u, food.v, dice, cloud=0.9, lumps=0.3)
    density = amount * (0.15 + 1.9 * smoothstep(0.35, 0.8, 0.6 * cloud + 0.4 * lumps)) * food.within(0.05, 0.06)
    size = max(dice.uniform(0.022, 0.045), 2.2 * food.pixel)
    cover, shade = scattered(food.u, food.v, size, density, dice)
    colour = ramp(shade, "#16301a #2a5a22 #4d8030 #6c9a3c") * dice.uniform(0.8, 1.25)
    food.paint("aonori", cover * food.inside, colour, food.canvas.height + 0.012, 0.15)


def bonito(food, dice):
    """Shaved bonito: thin, translucent, curled flakes, heaped."""
    gather = (dice.uniform(-0.3, 0.3), dice.uniform(-0.3, 0.3))
    spread = dice.uniform(0.16, 0.42)
    for place in places(dice, dice.whole(14, 34), spread, gather):
        length, width, angle = dice.uniform(0.1, 0.24), dice.uniform(0.03, 0.075), dice.uniform(0, 6.3)
        bend, curl, phase = dice.bell(0, 0.4), dice.bell(0, 1), dice.uniform(0, 6.3)
        tone, seed = dice.uniform(-0.2, 0.2), dice.child("flake", dice.uniform())
        window, offsets, (along, across) = food.window(place, length, angle)
        s = along / length
        torn = field("cloud", *offsets, 0.12, seed) - 0.5
        t = (across - bend * length * (s * s - 0.4)) / width + 0.5 * torn
        half = np.sqrt(np.clip(1 - s * s, 0, 1)) * (0.8 + 0.7 * torn)
        edge = smoothstep(0.55, 1.0, np.abs(t) / np.maximum(half, 1e-3))
        fold = np.sin(4.5 * s + 1.5 * t + phase)
        shade = 0.58 + tone + 0.12 * fold + 0.1 * np.sin(11 * t + phase) + 0.25 * torn - 0.28 * edge
        colour = ramp(shade, "#84452f #b97f5e #dcae86 #eed3b0 #f8ead2")
        lift = 0.03 + 0.045 * curl * t * np.abs(t) + 0.022 * fold + 0.02 * edge
        opacity = dice.uniform(0.66, 0.92)
        stamp(food, "bonito", window, (half - np.abs(t)) * width, colour, lift, 0.45, opacity)


def red_ginger(food, dice):
    """Pickled ginger in thin sticks: a heap, or strewn."""
    heap = dice.chance(0.6)
    gather = (dice.uniform(-0.45, 0.45), dice.uniform(-0.45, 0.45)) if heap else None
    shade = jitter(linear(dice.choice(("#c4163a", "#d8304e", "#b01030", "#d13a6a"))), dice)
    for place in places(dice, dice.whole(14, 30), dice.uniform(0.07, 0.14) if heap else 0.8, gather):
        length, radius = dice.uniform(0.05, 0.12), max(dice.uniform(0.011, 0.018), 0.55 * food.pixel)
        angle, bend = dice.uniform(0, 6.3), dice.bell(0, 0.35)
        tone, phase = dice.uniform(0.75, 1.25), dice.uniform(0, 6.3)
        window, _, (along, across) = food.window(place, length + radius, angle)
        past = np.maximum(np.abs(along) - length, 0)
        off = np.sqrt((across - bend * along * along / length) ** 2 + past * past)
        back = np.sqrt(np.clip(1 - (off / radius) ** 2, 0, 1))
        colour = shade[:, None, None] * (tone * (0.72 + 0.4 * back) * (1 + 0.2 * np.sin(5 * along / length + phase)))
        stamp(food, "red_ginger", window, radius - off, colour.astype(np.float32), 0.02 + 1.2 * radius * back, 0.5)


def spring_onion(food, dice):
    """Chopped spring onion: green rings, some seen from the side, strewn or heaped."""
    heap = dice.chance(0.5)
    gather = (dice.uniform(-0.25, 0.25), dice.uniform(-0.25, 0.25)) if heap else None
    count = dice.whole(24, 70) if heap else dice.whole(16, 36)
    for place in places(dice, count, dice.uniform(0.16, 0.32) if heap else 0.8, gather):
        radius = max(dice.uniform(0.025, 0.05), 1.3 * food.pixel)
        window, rho = _ring(food, dice, place, radius, 2.4)
        off = np.abs(rho - 0.7)
        colour = ramp(rho * 0.75 + dice.uniform(-0.2, 0.2), "#e4ecb4 #b5d36c #5fa03a #2f6f24")
        lift = 0.015 + 0.7 * radius * np.clip(1 - (off / 0.34) ** 2, 0, 1)
        stamp(food, "spring_onion", window, (0.34 - off) * radius, colour, lift, 0.5)


def _ring(food, dice, place, radius, squash):
    """(window, distance to the middle in radii) of something round that is squashed by 1 to `squash`."""
    window, _, (along, across) = food.window(place, radius, dice.uniform(0, 6.3))
    return window, np.sqrt(along * along + (across * dice.uniform(1.0, squash)) ** 2) / radius


def basil(food, dice):
    """Basil leaves: domed halves, pale veins, some wilted by the oven."""
    fresh = dice.uniform(0.3, 1.0)
    for place in spaced(dice, dice.whole(3, 8), 0.66, 0.3):
        for _ in range(dice.whole(1, 2)):
            _leaf(food, dice, (place[0] + dice.bell(0, 0.04), place[1] + dice.bell(0, 0.04)), fresh)


def _leaf(food, dice, place, fresh):
    length = dice.uniform(0.11, 0.21)
    width, angle, bend = length * dice.uniform(0.42, 0.62), dice.uniform(0, 6.3), dice.bell(0, 0.18)
    tone, veins = dice.uniform(-0.18, 0.18), dice.uniform(4.5, 7)
    window, _, (along, across) = food.window(place, 1.1 * length, angle)
    s = along / length
    t = (across - bend * length * s * s) / width
    cover = ((1 - s * s) * (1.0 - 0.35 * s) - np.abs(t)) * width * 0.8
    side = np.abs(((s + 0.5 * np.abs(t)) * veins) % 1 - 0.5)
    vein = np.maximum(smoothstep(0.1, 0.02, np.abs(t)), 0.55 * smoothstep(0.13, 0.03, side))
    dome = np.sin(np.pi * np.clip(np.abs(t), 0, 1))
    body = 0.5 * fresh + 0.3 * dome + tone + 0.1 * t
    colour = mix(ramp(body, "#15280e #264617 #446f28 #789b48"), ramp(body, "#3d5a24 #a5c474"), 0.55 * vein)
    lift = 0.03 + 0.055 * dome - 0.012 * vein + 0.03 * s * s
    stamp(food, "basil", window, cover, colour, lift, 0.3 + 0.4 * fresh)


def salami(food, dice):
    """Slices of salami: marbled with fat, cupped, dark at the rim, oily."""
    usual = dice.uniform(0.11, 0.19)
    count = dice.whole(5, 13)
    red = dice.choice(("#7a1712 #a82a1e #bf4430", "#8c2a1c #b8452c #cc6a44", "#6c1216 #93232a #aa3d3c"))
    for place in spaced(dice, count, 0.72, dice.uniform(1.5, 2.1) * usual):
        radius = usual * dice.uniform(0.92, 1.08)
        squash, angle, seed = dice.uniform(1.0, 1.12), dice.uniform(0, 6.3), dice.child("fat", dice.uniform())
        window, offsets, (along, across) = food.window(place, 1.05 * radius, angle)
        meat, cells = fields(*offsets, seed, cloud=0.1, cells=0.055)
        rho = np.sqrt(along * along + (across * squash) ** 2) / radius + 0.05 * (meat - 0.5)
        fat = smoothstep(0.16, 0.07, cells) * smoothstep(0.95, 0.85, rho)
        colour = mix(ramp(0.2 + 0.7 * meat, red), ramp(meat, "#d08a6c #e9bfa2"), 0.75 * fat)
        colour = mix(colour, ramp(meat, "#3c0c08 #6a1c10"), 0.75 * smoothstep(0.82, 1.0, rho))
        lift = 0.022 + dice.uniform(0.0, 0.05) * rho * rho + 0.006 * meat - 0.004 * fat
        stamp(food, "salami", window, (1 - rho) * radius, colour, lift, 0.45 + 0.4 * meat)


def olives(food, dice):
    """Olive rings, black or green."""
    shades = "#4c5218 #7d8430 #a3a550" if dice.chance(0.25) else "#0c080a #1d1416 #3a2a2a"
    for place in spaced(dice, dice.whole(6, 16), 0.74, 0.14):
        radius = dice.uniform(0.048, 0.07)
        window, rho = _ring(food, dice, place, radius, 1.5)
        hole = dice.uniform(0.35, 0.5)
        middle, half = (1 + hole) / 2, (1 - hole) / 2
        back = np.clip(1 - ((rho - middle) / half) ** 2, 0, 1)
        lift = 0.02 + 0.035 * np.sqrt(back)
        stamp(food, "olives", window, (half - np.abs(rho - middle)) * radius, ramp(back, shades), lift, 0.9)
