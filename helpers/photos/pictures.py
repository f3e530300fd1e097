"""One picture file: its bytes safely to RGB, and a fingerprint that finds its near-identical copies."""

import io
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.sparse import lil_array
from scipy.sparse.csgraph import connected_components

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # told by the bytes, whatever the file is called
SMALLEST_SIDE = 16  # pixels; below it there is nothing to recognise
HASH_DISTANCE = 10  # bits of 64 in which the perceptual hashes of one picture's copies may differ
CORRELATION = 0.8  # of their thumbnails, which tells copies from pictures with the same hash by chance
# what turns a picture upright whose EXIF orientation is 2, 3, ... 8
UPRIGHT = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")


class Decoded(NamedTuple):
    """A usable picture: upright RGB; what had to be converted; the file's own (width, height)."""

    image: Image.Image
    notes: list
    size: tuple


class Fingerprint(NamedTuple):
    """What near-identical copies have in common: a 64-bit perceptual hash and a thumbnail uint8 [16, 16, 3]."""

    hash: int
    thumbnail: np.ndarray


def decode(data, size):
    """Bytes to a `Decoded` picture of at least [size, size], where the file is.

    Transparency is laid on white, animations give their first frame. The shape stays that of the file (large JPEGs are
    decoded at 1/2, 1/4 or 1/8). Raises ValueError with the reason for whatever is no usable picture; a picture over
    Pillow's limit (`PIL.Image.MAX_IMAGE_PIXELS`) is refused before it is decoded.
    """
    if not data:
        raise ValueError("an empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            own_size = image.size  # decoding may halve it
            reason = _unusable_size(*own_size)
            if not reason:
                return Decoded(*_upright_rgb(image, size), own_size)
    except Image.DecompressionBombError as error:
        raise ValueError(f"a decompression bomb, not decoded: {error}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"no picture: its bytes are none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow raises many kinds on damaged files; each becomes the reason
        raise ValueError(f"damaged: {error}") from error
    raise ValueError(reason)


def _unusable_size(width, height):
    if min(width, height) < SMALLEST_SIDE:
        return f"too small: {width}x{height} pixels; at least {SMALLEST_SIDE} a side are needed"
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        return f"a decompression bomb, not decoded: {width}x{height} pixels"
    return ""


def _upright_rgb(image, size):
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"first of {image.n_frames} frames")
    sixteen_bits = image.format == "PNG" and "16" in str([tile[3] for tile in image.tile])  # its raw mode: "RGB;16B"
    image.draft(None, (2 * size, 2 * size))
    image.load()
    if turn := dict(enumerate(UPRIGHT, 2)).get(image.getexif().get(0x0112)):
        notes.append("turned upright (EXIF)")
        image = image.transpose(Image.Transpose[turn])  # ImageOps.exif_transpose fails on other damaged tags
    if sixteen_bits:
        notes.append("16-bit to 8-bit")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        notes.append("transparency laid on white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    elif image.mode != "RGB":
        notes.append(f"{image.mode} to RGB")
    return image.convert("RGB"), notes


def fingerprint(image):
    """The `Fingerprint` of an RGB picture."""
    thumbnail = np.asarray(image.resize((16, 16), Image.Resampling.BOX))
    return Fingerprint(int(str(imagehash.phash(image)), 16), thumbnail)


def near_duplicates(fingerprints):
    """Group number [N]: one group holds the pictures connected by near-identity.

    Near-identical are two pictures whose perceptual hashes differ in at most HASH_DISTANCE bits and whose thumbnails
    correlate at CORRELATION or more, or are equal: re-encoded, resized, brightened or slightly cropped copies.
    """
    count = len(fingerprints)
    hashes = np.array([one.hash for one in fingerprints], np.uint64)
    thumbnails = np.array([one.thumbnail for one in fingerprints]).reshape(count, 16 * 16, 3)
    centred = thumbnails - thumbnails.mean(1, keepdims=True)
    centred /= np.maximum(np.linalg.norm(centred, axis=(1, 2), keepdims=True), 1.0)  # flat pictures stay 0: like none
    alike = lil_array((count, count), dtype=bool)
    for first in range(count):
        close = first + 1 + np.flatnonzero(np.bitwise_count(hashes[first + 1 :] ^ hashes[first]) <= HASH_DISTANCE)
        if not close.size:
            continue  # as for most: an empty row costs more than all the rest
        correlated = (centred[close] * centred[first]).sum((1, 2)) >= CORRELATION
        alike[first, close] = correlated | (thumbnails[close] == thumbnails[first]).all((1, 2))
    return connected_components(alike, directed=False)[1]
