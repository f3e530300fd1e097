"""What makes a downloaded picture a photo worth keeping; every refusal is a `LeftOut` with its reason."""

import numpy as np
from PIL import Image

from helpers.collecting.services import LeftOut, Oversized, Refused
from helpers.photos import pictures

SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp"}  # by a file's first bytes
FLAT_SHARE = 0.75  # of the pixels in one colour: a drawing, a text or a "photo unavailable" card
MOST_PIXELS = 8 << 20  # to decode; a JPEG may have 4 times as many, being decoded small
FRAME_SHARE = 0.25  # of the rows or columns in one even colour: a frame, or the grey of a file cut short


def decode(data, smallest):
    """(file name suffix, `pictures.Decoded` of at least [smallest, smallest] where the file is) of a photo's bytes.

    Raises `Refused` for what is no picture or damaged, `Oversized` for a decompression bomb.
    """
    suffix = next((suffix for start, suffix in SUFFIXES.items() if data.startswith(start)), None)
    if not suffix:
        raise Refused("no JPEG, PNG or WebP picture")
    try:
        return suffix, pictures.decode(data, smallest, min(MOST_PIXELS, Image.MAX_IMAGE_PIXELS or MOST_PIXELS))
    except pictures.TooLarge as error:
        raise Oversized(str(error)) from None
    except ValueError as error:
        raise Refused(str(error)) from None


def judge(decoded, smallest):
    """Raise `LeftOut` if a photo, a `pictures.Decoded`, is under `smallest` pixels a side, flat or framed."""
    width, height = decoded.size
    if min(width, height) < smallest:
        raise LeftOut(f"too small: {width}x{height}, at least {smallest} a side are needed")
    pixels = np.asarray(decoded.image.resize((32, 32), Image.Resampling.NEAREST))
    red, green, blue = np.moveaxis(pixels.astype(np.int32) >> 4, -1, 0)
    if np.bincount((red << 8 | green << 4 | blue).ravel()).max() > FLAT_SHARE * red.size:
        raise LeftOut("flat: most of it is one colour, a drawing or a stand-in")
    even = [((pixels.max(axis) - pixels.min(axis)).max(-1) <= 4).mean() for axis in (0, 1)]
    if max(even) > FRAME_SHARE:
        raise LeftOut("framed: much of it is an even border, or the file was cut short")


def twin(fingerprint, kept):
    """Name of the first of `kept`, {name: `Fingerprint`}, that `pictures.near_duplicates` finds alike, or None."""
    close = [name for name, one in kept.items() if (one.hash ^ fingerprint.hash).bit_count() <= pictures.HASH_DISTANCE]
    groups = pictures.near_duplicates([*(kept[name] for name in close), fingerprint]) if close else []
    return next((name for name, group in zip(close, groups, strict=False) if group == groups[-1]), None)
