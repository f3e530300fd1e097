"""Light on a finished canvas: one pass gives every part, however small, its shade, shadow and shine."""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from .colour import flat, smoothstep


class Light(NamedTuple):
    """A window: where it stands (azimuth in the picture, elevation, radians), its size, colours, share of sky light."""

    azimuth: float
    elevation: float
    width: float
    height: float
    colour: tuple
    sky: tuple
    fill: float
    softness: float


def random_light(dice):
    """Mostly from behind or from the side, as food is photographed; warm lamps and cool daylight."""
    warmth = dice.bell(0.08, 0.09)
    return Light(
        azimuth=-math.pi / 2 + dice.bell(0, 1.0),
        elevation=dice.uniform(0.5, 1.1),
        width=dice.uniform(0.12, 0.4),
        height=dice.uniform(0.1, 0.3),
        colour=(1 + warmth, 1.0, 1 - 1.5 * warmth),
        sky=(1 - 0.5 * warmth, 1.0, 1 + 0.8 * warmth),
        fill=dice.uniform(0.28, 0.6),
        softness=dice.uniform(0.02, 0.12),
    )


def illuminate(canvas, camera, light):
    """float32 [3,H,W] linear light of the canvas: diffuse light with cast shadows, sky light with occlusion, shine."""
    pixel, height = camera.pixel, canvas.height
    normal = _normals(height, pixel)
    towards = np.array(
        [
            math.cos(light.azimuth) * math.cos(light.elevation),
            math.sin(light.azimuth) * math.cos(light.elevation),
            math.sin(light.elevation),
        ],
        np.float32,
    )
    facing = normal[0] * towards[0] + normal[1] * towards[1] + normal[2] * towards[2]
    direct = np.clip((facing + 0.18) / 1.18, 0, None) * _lit(height, pixel, light) / max(0.5, towards[2])
    occluded = _occlusion(height, pixel)
    sky = light.fill * (0.75 + 0.25 * normal[2]) * (1 - occluded)
    colour = canvas.colour
    bounced = sky / (1 - np.clip(colour, 0, 0.9) * (0.75 * occluded))  # light caught in a crease takes the colour
    shine = _shine(normal, canvas.gloss, camera, light, towards) * (1 - 0.7 * occluded)
    return colour * (flat(light.colour) * direct + flat(light.sky) * bounced) + shine * flat(light.colour)


def _normals(height, pixel):
    smooth = gaussian_filter(height, 0.7, truncate=2.5)
    slope_y, slope_x = np.gradient(smooth, np.float32(pixel))
    steep = 1 / (1 + 0.3 * np.sqrt(slope_x**2 + slope_y**2))  # a pixel holds the whole of a sharp edge: keep it soft
    slope_x, slope_y = slope_x * steep, slope_y * steep
    length = 1 / np.sqrt(slope_x**2 + slope_y**2 + 1)
    return -slope_x * length, -slope_y * length, length


def _lit(height, pixel, light):
    """1 in the light, 0 in a shadow: the height field is shifted along the light and compared with itself."""
    shade = np.zeros_like(height)
    rise = math.tan(light.elevation)
    for reach in (0.03, 0.06, 0.1, 0.16, 0.24, 0.36):
        steps = max(1.0, reach / pixel)
        shifted = _shifted(height, round(steps * math.cos(light.azimuth)), round(steps * math.sin(light.azimuth)))
        over = shifted - height - steps * pixel * rise
        shade = np.maximum(shade, np.clip(0.5 + over / (light.softness + 0.4 * reach), 0, 1) * (1 - reach))
    return 1 - 0.85 * uniform_filter(shade, 3)


def _shifted(layer, right, down):
    """layer[y + down, x + right], the border repeated."""
    rows = np.clip(np.arange(layer.shape[0]) + down, 0, layer.shape[0] - 1)
    columns = np.clip(np.arange(layer.shape[1]) + right, 0, layer.shape[1] - 1)
    return layer[rows][:, columns]


def _occlusion(height, pixel):
    """0 in the open to nearly 1 in a crease: how far the surroundings stand above a point, on two scales."""
    near = uniform_filter(height, 2 * max(1, round(0.03 / pixel)) + 1) - height
    wide = uniform_filter(uniform_filter(height, 2 * max(1, round(0.08 / pixel)) + 1), 5) - height
    return np.clip(5.0 * np.maximum(near, 0) + 3.2 * np.maximum(wide, 0), 0, 0.85)


def _shine(normal, gloss, camera, light, towards):
    """Reflections: a window with soft edges, its glow, and the grey of the room at grazing angles."""
    nx, ny, nz = normal
    view_y, view_z = np.float32(math.sin(camera.tilt)), np.float32(math.cos(camera.tilt))
    facing = ny * view_y + nz * view_z
    rx, ry, rz = 2 * facing * nx, 2 * facing * ny - view_y, 2 * facing * nz - view_z
    side = (-math.sin(light.azimuth), math.cos(light.azimuth))
    across = rx * np.float32(side[0]) + ry * np.float32(side[1])
    ahead = rx * towards[0] + ry * towards[1] + rz * towards[2]
    up = rz * np.float32(math.cos(light.elevation)) - np.float32(math.sin(light.elevation)) * (
        rx * np.float32(math.cos(light.azimuth)) + ry * np.float32(math.sin(light.azimuth))
    )
    blur = 0.08 + 0.25 * (1 - gloss)
    window = np.clip(0.5 + (light.width - np.abs(across)) / blur, 0, 1)
    window = window * np.clip(0.5 + (light.height - np.abs(up)) / blur, 0, 1) * (ahead > 0)
    fresnel = 0.04 + 0.6 * np.clip(1 - facing, 0, 1) ** 4
    glow = np.clip(ahead, 0, 1) ** 10
    room = 0.25 + 0.75 * smoothstep(-0.3, 0.9, -ry)
    upright = smoothstep(0.3, 0.75, nz)  # no sparkle on the outlines
    return upright * gloss * fresnel * (11.0 * gloss * window + 3.0 * glow + 0.8 * room)
