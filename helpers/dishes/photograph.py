"""From light to a photo: exposure, colour cast, depth of field, vignette, film curve and noise."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from helpers.dishes.colour import flat, mix, srgb_bytes
from helpers.dishes.noise import SIDE, tile


def expose(light, camera, dice):
    """uint8 [H,W,3] picture of linear light [3,H,W], as one of many cameras and photographers would take it."""
    light = _focus(light * _cast(dice.child("cast")), camera, dice.child("focus"))
    light = light * _vignette(camera.size, dice.child("vignette"))
    target = 0.155 * math.exp(dice.bell(0, 0.2))
    light = light * np.float32((target / max(float(light.mean()), 1e-3)) ** 0.6)
    picture = srgb_bytes(_curve(light, dice.child("curve"))).transpose(1, 2, 0).astype(np.float32)
    return np.clip(picture + _noise(camera.size, dice.child("noise")) + 0.5, 0, 255).astype(np.uint8)


def _cast(dice):
    """Wrong white balance: a little in all pictures, much in some."""
    strength = 0.15 if dice.chance(0.22) else 0.05
    warm, green = dice.bell(0.02, strength), dice.bell(0, 0.4 * strength)
    return flat((1 + warm, 1 + green, 1 - 1.2 * warm))


def _focus(light, camera, dice):
    """Blur that grows with the distance from the plane in focus, and now and then a shaken picture."""
    scale = camera.size / 160
    shaken = dice.uniform(0.6, 1.0) if dice.chance(0.1) else dice.uniform(0.35, 0.55)
    light = gaussian_filter(light, shaken * scale, truncate=2.5, axes=(1, 2))
    if camera.tilt < 0.35 or dice.chance(0.35):
        return light
    rows = (np.arange(camera.size) + 0.5) / camera.size
    far = np.abs(rows - dice.uniform(0.4, 0.7)).astype(np.float32)
    amount = np.clip((far - 0.14) * dice.uniform(1.5, 3.0), 0, 1)[None, :, None]
    return mix(light, gaussian_filter(light, dice.uniform(1.2, 2.4) * scale, truncate=2.5, axes=(1, 2)), amount)


def _vignette(size, dice):
    places = (np.arange(size) + 0.5) / size - 0.5
    x, y = places[None, :] - dice.uniform(-0.1, 0.1), places[:, None] - dice.uniform(-0.1, 0.1)
    lamp = dice.uniform(-0.35, 0.35) * x + dice.uniform(-0.3, 0.1) * y
    return ((1 + lamp) * (1 - dice.uniform(0, 0.7) * (x * x + y * y))).astype(np.float32)


def _curve(light, dice):
    """A shoulder for the highlights, contrast and colour strength."""
    grey = light.mean(axis=0)
    light = np.maximum(grey + (light - grey) * np.float32(dice.uniform(0.72, 1.14)), 0)
    light = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)  # Narkowicz's fit of the ACES curve
    haze = dice.uniform(0, 0.02) if dice.chance(0.5) else 0.0
    return light * np.float32(1 - haze) + np.float32(haze)


def _noise(size, dice):
    """Grain of the sensor, in grey levels: finer in good light, coarser in bad."""
    strength = np.float32(dice.uniform(1.5, 6) if dice.chance(0.8) else dice.uniform(6, 13))
    texture, rows = tile("grain")[0].reshape(SIDE, SIDE) - np.float32(0.5), np.arange(size)
    planes = []
    for _ in range(3):
        top, left = dice.whole(0, SIDE - 1), dice.whole(0, SIDE - 1)
        planes.append(texture[np.ix_((rows + top) % SIDE, (rows + left) % SIDE)])
    shared, green, blue = planes
    return strength * np.stack([shared, 0.7 * shared + 0.5 * green, 0.7 * shared + 0.5 * blue], -1)
