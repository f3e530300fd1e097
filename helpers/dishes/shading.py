"""Light on a finished canvas: one pass gives every part, however small, its shade, shadow and shine."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from helpers.dishes.colour import flat, smoothstep


class Light:
    """A window, mostly behind or beside the dish as food is photographed; warm lamps and cool daylight.

    cosine, sine: its direction in the picture; elevation in radians; width, height: its size; colour, sky: [3,1,1];
    fill: the share of sky light; softness: of the shadows; towards: float32 [3,1,1], the unit vector to it.
    """

    def __init__(self, dice):
        warmth, azimuth = dice.bell(0.08, 0.09), -math.pi / 2 + dice.bell(0, 1.0)
        self.cosine, self.sine, self.elevation = math.cos(azimuth), math.sin(azimuth), dice.uniform(0.5, 1.1)
        self.width, self.height = dice.uniform(0.12, 0.4), dice.uniform(0.1, 0.3)
        self.colour = flat((1 + warmth, 1.0, 1 - 1.5 * warmth))
        self.sky = flat((1 - 0.5 * warmth, 1.0, 1 + 0.8 * warmth))
        self.fill, self.softness = dice.uniform(0.28, 0.6), dice.uniform(0.02, 0.12)
        level = math.cos(self.elevation)
        self.towards = flat((self.cosine * level, self.sine * level, math.sin(self.elevation)))


def illuminate(canvas, camera, light):
    """float32 [3,H,W] linear light of the canvas: diffuse light with cast shadows, sky light with occlusion, shine."""
    pixel, height, colour = camera.pixel, canvas.height, canvas.colour
    normal = _normals(height, pixel)
    facing = _dot(normal, light.towards)
    direct = np.clip((facing + 0.18) / 1.18, 0, None) * _lit(height, pixel, light) / max(0.5, light.towards[2, 0, 0])
    occluded = _occlusion(height, pixel)
    sky = light.fill * (0.75 + 0.25 * normal[2]) * (1 - occluded)
    bounced = sky / (1 - np.clip(colour, 0, 0.9) * (0.75 * occluded))  # light caught in a crease takes the colour
    shine = _shine(normal, canvas.gloss, camera, light) * (1 - 0.7 * occluded)
    return colour * (light.colour * direct + light.sky * bounced) + shine * light.colour


def _dot(vectors, direction):
    """[H,W]: the products of vectors [3,H,W] with one direction [3]."""
    return sum(one * part for one, part in zip(vectors, direction, strict=True))


def _normals(height, pixel):
    slope_y, slope_x = np.gradient(gaussian_filter(height, 0.7, truncate=2.5), np.float32(pixel))
    steep = 1 / (1 + 0.3 * np.sqrt(slope_x**2 + slope_y**2))  # a pixel holds the whole of a sharp edge: keep it soft
    slope_x, slope_y = slope_x * steep, slope_y * steep
    return np.stack([-slope_x, -slope_y, np.ones_like(height)]) * (1 / np.sqrt(slope_x**2 + slope_y**2 + 1))


def _lit(height, pixel, light):
    """1 in the light, 0 in a shadow: the height field is shifted along the light and compared with itself."""
    shade, places = np.zeros_like(height), np.arange(len(height))
    for reach in (0.03, 0.06, 0.1, 0.16, 0.24, 0.36):
        steps = max(1.0, reach / pixel)
        shifted = height.take(places + round(steps * light.sine), axis=0, mode="clip")
        shifted = shifted.take(places + round(steps * light.cosine), axis=1, mode="clip")
        over = shifted - height - steps * pixel * math.tan(light.elevation)
        shade = np.maximum(shade, np.clip(0.5 + over / (light.softness + 0.4 * reach), 0, 1) * (1 - reach))
    return 1 - 0.85 * uniform_filter(shade, 3)


def _occlusion(height, pixel):
    """0 in the open to nearly 1 in a crease: how far the surroundings stand above a point, on two scales."""
    near = uniform_filter(height, 2 * max(1, round(0.03 / pixel)) + 1) - height
    wide = uniform_filter(uniform_filter(height, 2 * max(1, round(0.08 / pixel)) + 1), 5) - height
    return np.clip(5.0 * np.maximum(near, 0) + 3.2 * np.maximum(wide, 0), 0, 0.85)


def _shine(normal, gloss, camera, light):
    """Reflections: a window with soft edges, its glow, and the grey of the room at grazing angles."""
    view = flat((0.0, math.sin(camera.tilt), math.cos(camera.tilt)))
    facing = _dot(normal, view)
    reflected = 2 * facing * normal - view
    across = _dot(reflected, (-light.sine, light.cosine, 0.0))
    ahead = _dot(reflected, light.towards)
    level = _dot(reflected, (light.cosine, light.sine, 0.0))
    up = reflected[2] * math.cos(light.elevation) - math.sin(light.elevation) * level
    blur = 0.08 + 0.25 * (1 - gloss)
    window = np.clip(0.5 + (light.width - np.abs(across)) / blur, 0, 1)
    window = window * np.clip(0.5 + (light.height - np.abs(up)) / blur, 0, 1) * (ahead > 0)
    fresnel = 0.04 + 0.6 * np.clip(1 - facing, 0, 1) ** 4
    glow = np.clip(ahead, 0, 1) ** 10
    room = 0.25 + 0.75 * smoothstep(-0.3, 0.9, -reflected[1])
    upright = smoothstep(0.3, 0.75, normal[2])  # no sparkle on the outlines
    return upright * gloss * fresnel * (11.0 * gloss * window + 3.0 * glow + 0.8 * room)
