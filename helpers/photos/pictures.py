"""One picture file: its bytes safely to RGB, and a fingerprint that finds its near-identical copies."""

import contextlib
import io
import math
import threading
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError
from scipy.sparse import lil_array
from scipy.sparse.csgraph import connected_components

try:
    import pillow_heif
except ImportError:  # optional: HEIC files are then left out with a line that says so
    pillow_heif = None
else:
    pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # told by the bytes, whatever the file is called
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
LARGE = 16 << 20  # pixels; above it one picture is decoded at a time, and reduced piece by piece
JPEGS = 4  # times as many pixels as others may declare: JPEGs are decoded at 1/8 of their sides
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # what its first bytes name
NO_HEIC = "a HEIC picture: install pillow-heif (pip install pillow-heif), or save it as JPEG"
SMALLEST_SIDE = 16  # pixels; below it there is nothing to recognise
HASH_DISTANCE = 10  # bits of 64 in which the perceptual hashes of one picture's copies may differ
CORRELATION = 0.8  # of their thumbnails, which tells copies from pictures with the same hash by chance
KIND = 20  # a picture with this many look-alikes is of a kind (X-rays), and no copy
NEARER = 3  # a copy is this many times nearer than the KIND-th nearest picture
# what turns a picture upright whose EXIF orientation is 2, 3, ... 8
UPRIGHT = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")


class Decoded(NamedTuple):
    """A usable picture: upright RGB; what had to be converted; the file's own (width, height)."""

    image: Image.Image
    notes: list
    size: tuple


class TooSmall(ValueError):
    """A picture with too few pixels to show anything."""


class TooLarge(ValueError):
    """A picture that is not decoded, for its declared size alone."""


class Fingerprint(NamedTuple):
    """What near-identical copies have in common: a 64-bit perceptual hash and a thumbnail uint8 [16, 16, 3]."""

    hash: int
    thumbnail: np.ndarray


def decode(data, size, most=None):
    """Bytes to a `Decoded` picture of at least [size, size], where the file is.

    Transparency is laid on white, animations give their first frame. The shape stays that of the file (large JPEGs are
    decoded at 1/2, 1/4 or 1/8, others reduced). most: pixels to decode at most, `PIL.Image.MAX_IMAGE_PIXELS` unless
    told. Raises ValueError with the reason for whatever is no usable picture, too large ones before they are decoded.
    """
    if not data:
        raise ValueError("an empty file")
    try:
        with _open(data) as image:
            own_size = image.size  # decoding may halve it
            image.draft(None, (2 * size, 2 * size))
            pixels = max(math.prod(image.size), math.prod(own_size) // 2 if image.info.get("progressive") else 0)
            _check_size(own_size, pixels, image.format, most or Image.MAX_IMAGE_PIXELS)
            large = min(LARGE, most // 8) if most else LARGE
            with _one_at_a_time if pixels > large else contextlib.nullcontext():
                return Decoded(*_upright_rgb(image, size, large), own_size)
    except (TooSmall, TooLarge):
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"a decompression bomb, not decoded: {error}") from error
    except UnidentifiedImageError as error:
        heic = data[4:8] == b"ftyp" and data[8:12] in HEIC and not pillow_heif
        raise ValueError(NO_HEIC if heic else f"no picture in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # Pillow raises many kinds on damaged files; each becomes the reason
        raise ValueError(f"damaged: {error}") from error


_one_at_a_time = threading.Lock()


def _open(data):
    """The picture, not decoded yet; JPEGs of any size, since they are decoded small."""
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.jpeg_factory(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=(*FORMATS, "HEIF") if pillow_heif else FORMATS)


def _check_size(size, decoded, kind, most):
    width, height = size
    if min(size) < SMALLEST_SIDE:
        raise TooSmall(f"too small: {width}x{height} pixels; at least {SMALLEST_SIDE} a side are needed")
    declared = most and most * (JPEGS if kind in ("JPEG", "MPO") else 1)
    if most and (decoded > most or width * height > declared):
        advice = "not decoded; save it smaller, as JPEG"
        raise TooLarge(f"too large, or a decompression bomb: {width}x{height} pixels, {advice}")


def rgb(image):
    """A PIL picture as upright RGB: transparency laid on white; 16 bits, integers and fractions brought to 8 bits."""
    return _upright_rgb(image, 0, math.inf)[0]


def _upright_rgb(image, size, large):
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"first of {image.n_frames} frames")
    raw_modes = str([tile[3] for tile in image.tile]) if image.format in ("PNG", "TIFF") else ""
    image.load()
    turn = dict(enumerate(UPRIGHT, 2)).get(image.getexif().get(0x0112))
    if turn:
        notes.append("turned upright (EXIF)")
    if ";16" in raw_modes:
        notes.append("16-bit to 8-bit")
    if image.has_transparency_data:
        notes.append("transparency laid on white")
    elif image.mode != "RGB":
        notes.append(f"{'L' if image.mode[0] in 'IF' else image.mode} to RGB")
    rgb = _reduced(image, size) if math.prod(image.size) > large else _rgb(image, _white(image))
    return (rgb.transpose(Image.Transpose[turn]) if turn else rgb), notes  # exif_transpose fails on other damaged tags


def _white(image):
    """The number that means white where a picture has one of 16 bits, or a TIFF's integer or fraction, a pixel."""
    if image.mode.startswith("I;16"):
        return 65535
    largest = float(np.nan_to_num(image, posinf=0).max()) if image.mode in "IF" else 0
    slack = 1.1 if image.mode == "F" else 1  # fractions may overshoot a little
    return next((white for white in (1, 255, 65535) if largest <= slack * white), largest)


def _rgb(image, white):
    if image.mode[0] in "IF":
        numbers = np.nan_to_num(np.asarray(image, np.float32)).clip(0, white)
        image = Image.fromarray((numbers * (255 / white)).round().astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _reduced(image, size):
    """A large picture as RGB, reduced by a whole number to [2 size, 2 size] or more; in stripes, to spare memory."""
    white, factor = _white(image), max(1, min(image.size) // (2 * size))
    small = Image.new("RGB", [-(-side // factor) for side in image.size])
    for top in range(0, image.height, 64 * factor):
        stripe = image.crop((0, top, image.width, min(top + 64 * factor, image.height)))
        small.paste(_rgb(stripe, white).reduce(factor), (0, top // factor))
    return small


def fingerprint(image):
    """The `Fingerprint` of an RGB picture."""
    thumbnail = np.asarray(image.resize((16, 16), Image.Resampling.BOX))
    return Fingerprint(int(str(imagehash.phash(image)), 16), thumbnail)


def near_duplicates(fingerprints):
    """Group number [N]: one group holds the pictures connected by near-identity, at most KIND of them.

    Near-identical are two pictures whose perceptual hashes differ in at most HASH_DISTANCE bits and whose thumbnails
    correlate at CORRELATION or more, or are equal: re-encoded, resized, brightened or slightly cropped copies. Where
    all pictures look alike (X-rays, one camera and one pose), copies have to be NEARER than the others are. A larger
    group is split into those with equal thumbnails.
    """
    count = len(fingerprints)
    hashes = np.array([one.hash for one in fingerprints], np.uint64)
    thumbnails = np.array([one.thumbnail for one in fingerprints]).reshape(count, 16 * 16, 3)
    centred = (thumbnails - thumbnails.mean(1, keepdims=True)).astype(np.float32).reshape(count, 16 * 16 * 3)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1.0)  # flat pictures stay 0: like none
    nearest, candidates = np.full(count, np.inf), []
    for first in range(count):
        close = np.flatnonzero(np.bitwise_count(hashes ^ hashes[first]) <= HASH_DISTANCE)
        if len(close) > 1:
            distances = 1 - centred @ centred[first]
            nearest[first] = np.partition(distances, KIND)[KIND] if count > KIND else np.inf
            candidates += [(first, second, distances[second]) for second in close[close > first]]
    near, equal = lil_array((count, count), dtype=bool), lil_array((count, count), dtype=bool)
    for first, second, distance in candidates:
        equal[first, second] = (thumbnails[first] == thumbnails[second]).all()
        farthest = min(1 - CORRELATION, nearest[first] / NEARER, nearest[second] / NEARER)
        near[first, second] = equal[first, second] or distance <= farthest
    groups, same = (connected_components(edges, directed=False)[1] for edges in (near, equal))
    large = (np.bincount(groups) > KIND)[groups] if count else groups
    return np.unique(np.where(large, count + same, groups), return_inverse=True)[1]
