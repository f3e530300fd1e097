"""Photo folders: the zoo of bad files, splits without leaks, manifests that lose nothing."""

import re
import struct
import zlib

import numpy as np
import pytest
from fake_services import encoded
from numpy.testing import assert_array_equal
from PIL import Image

from helpers.photos import pictures


def picture(seed, size=(96, 80)):
    """Colour blobs that differ from seed to seed as photos do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def png(side, bits, rows):
    """An RGB PNG by hand: Pillow writes none of 16 bits and none whose pixels are missing."""
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", side, side, bits, 2, 0, 0, 0)
    for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def png_of_16_bits(*colour):
    return png(16, 16, (b"\0" + struct.pack(">3H", *colour) * 16) * 16)


def declared(jpeg, width, height):
    """JPEG bytes whose header tells another size."""
    start = re.search(b"\xff[\xc0\xc2]\0\x11\x08", jpeg).end()
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def exif(orientation, *others):
    """EXIF data with that orientation and other raw entries."""
    entries = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0), *others
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + bytes(4)


def decoded(image, form="PNG", size=64, **options):
    rgb, notes, _ = pictures.decode(encoded(image, form, **options), size)
    assert rgb.mode == "RGB"
    return np.asarray(rgb).astype(int), "; ".join(notes)


def test_plain_rgb_is_untouched_also_where_exif_names_no_orientation():
    for options in ({}, *({"exif": exif(orientation)} for orientation in (0, 9, 255))):
        pixels, notes = decoded(picture(1), **options)
        assert notes == ""
        assert_array_equal(pixels, np.asarray(picture(1)))


SMALL, ON_WHITE = (20, 20), "transparency laid on white"
PALETTE = Image.new("P", SMALL, 1)
PALETTE.putpalette([1, 2, 3, 40, 50, 60])
HALF = Image.new("RGBA", SMALL, (200, 0, 0, 0))
HALF.paste((0, 0, 100, 255), (0, 0, 10, 20))


@pytest.mark.parametrize(
    ("image", "options", "colour", "note"),
    [
        (HALF, {}, [255, 255, 255], ON_WHITE),
        (HALF.transpose(Image.Transpose.ROTATE_180), {}, [0, 0, 100], ON_WHITE),
        (Image.new("LA", SMALL, (0, 128)), {}, [127, 127, 127], ON_WHITE),
        (PALETTE, {"transparency": 1}, [255, 255, 255], ON_WHITE),
        (PALETTE, {}, [40, 50, 60], "P to RGB"),
        (Image.new("L", SMALL, 77), {}, [77, 77, 77], "L to RGB"),
        (Image.new("1", SMALL, 1), {}, [255, 255, 255], "1 to RGB"),
        (Image.new("CMYK", SMALL, (0, 255, 255, 0)), {"form": "JPEG"}, [255, 0, 0], "CMYK to RGB"),
        (Image.new("RGB", (54, 30)), {"form": "BMP"}, [0, 0, 0], ""),  # rows of 164 bytes: no depth of 16 bits
        (Image.new("RGB", SMALL, (9, 99, 200)), {"form": "TIFF", "compression": "tiff_lzw"}, [9, 99, 200], ""),
        (Image.new("RGBA", SMALL, (0, 0, 0, 0)), {"form": "TIFF"}, [255, 255, 255], ON_WHITE),
        (Image.new("I;16", SMALL, 32896), {"form": "TIFF"}, [128] * 3, "16-bit to 8-bit; L to RGB"),
        (Image.new("F", SMALL, 0.6), {"form": "TIFF"}, [153] * 3, "L to RGB"),  # fractions of 1
        (Image.new("F", SMALL, 77), {"form": "TIFF"}, [77] * 3, "L to RGB"),
        (Image.new("RGB", SMALL, "white"), {"form": "AVIF"}, [255] * 3, ""),
    ],
)
def test_every_mode_becomes_rgb_on_white(image, options, colour, note):
    pixels, notes = decoded(image, **options)
    assert abs(pixels[:, 12:] - colour).max() < (5 if image.mode == "CMYK" else 1) and notes == note


@pytest.mark.parametrize(("odd", "half"), [(1.01, 128), (float("inf"), 128), (float("nan"), 128), (200.0, 0)])
def test_one_odd_fraction_does_not_turn_the_others_black(odd, half):
    grey = np.full((20, 20), 0.5, np.float32)
    grey[0, 0] = odd
    pixels, _ = decoded(Image.fromarray(grey), form="TIFF")
    assert abs(int(pixels[10, 10, 0]) - half) <= 1


def test_sixteen_bits_are_scaled_not_clipped():
    grey = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    pixels, notes = decoded(Image.fromarray(grey))
    assert_array_equal(pixels, np.repeat((grey / 257).round()[..., None], 3, -1))
    assert "16-bit" in notes
    rgb, notes, _ = pictures.decode(png_of_16_bits(65535, 32896, 257), 16)
    assert notes == ["16-bit to 8-bit"] and np.asarray(rgb)[0, 0].tolist() == [255, 128, 1]


RESOLUTION = struct.pack(">HHI4s", 0x011A, 2, 4, b"abc\0")  # damaged: a word, not a number


@pytest.mark.parametrize("others", [(), (RESOLUTION,)], ids=["alone", "beside a damaged tag"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_shows_the_upright_picture(orientation, others):
    stored = Image.new("RGB", (60, 40), "black")
    stored.paste("white", (0, 0, 20, 10))  # a mark in the stored top left corner
    pixels, notes = decoded(stored, "JPEG", exif=exif(orientation, *others), quality=95)
    assert pixels.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    corner = [(2, 2), (2, -3), (-3, -3), (-3, 2)][(orientation - 1) % 4]
    assert pixels[corner].min() > 200 and notes == ("turned upright (EXIF)" if orientation > 1 else "")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_animations_give_their_first_frame(form):
    red, *others = (Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue"))
    pixels, notes = decoded(red, form, save_all=True, append_images=others, duration=50)
    assert "first of 3 frames" in notes
    assert abs(pixels[9, 9] - [255, 0, 0]).max() <= 8


def test_large_jpegs_are_decoded_small_but_never_below_the_wanted_size():
    rgb, *_ = pictures.decode(encoded(picture(3, (1600, 1200))), 160)
    assert rgb.size == (800, 600)


@pytest.mark.parametrize("size", [(12_000, 9_000), (16_320, 12_240)], ids=["108 megapixels", "200"])
def test_a_phones_largest_photos_are_no_bombs(size):
    image = Image.new("L", size, 90)
    image.paste(200, (0, 0, size[0] // 2, size[1] // 2))
    rgb, _, own_size = pictures.decode(encoded(image), 160)
    assert own_size == size and rgb.size == (size[0] // 8, size[1] // 8)
    assert rgb.getpixel((99, 99)) == (200,) * 3 and rgb.getpixel((999, 999)) == (90,) * 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16"])
def test_large_pictures_are_reduced_in_stripes(monkeypatch, mode):
    image = picture(4, (1000, 700))
    if mode == "RGBA":
        image.putalpha(128)
    image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else image
    data = encoded(image.convert(mode) if mode == "P" else image, "PNG")
    whole, notes, _ = pictures.decode(data, 100)
    monkeypatch.setattr(pictures, "LARGE", 10_000)
    reduced, same_notes, own_size = pictures.decode(data, 100)
    assert reduced.size == (334, 234) and own_size == (1000, 700) and notes == same_notes
    expected = np.asarray(whole.reduce(3)).astype(int)
    assert abs(np.asarray(reduced) - expected).max() <= 1


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>photo unavailable</html>", "no picture"),
        (encoded(picture(0))[:600], "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "no picture|damaged"),
        (encoded(Image.new("RGB", (1, 1))), "too small: 1x1"),
        (encoded(Image.new("RGB", (400, 15))), "too small: 400x15"),
        (png_of_16_bits(0, 0, 0)[:-30], "damaged"),
        *((png(side, 8, bytes(100)), "decompression bomb") for side in (10_000, 60_000)),
        (declared(encoded(picture(0)), 60_000, 60_000), "decompression bomb"),
        (declared(encoded(picture(0), progressive=True), 16_000, 12_000), "decompression bomb"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "a HEIC picture: install pillow-heif .* or save it as JPEG"),
    ],
)
def test_unusable_bytes_say_why(data, reason, monkeypatch):
    monkeypatch.setattr(pictures, "pillow_heif", None)
    if "bomb" in reason:
        monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=reason):
        pictures.decode(data, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damaged_bytes_give_a_picture_or_a_reason(form):
    clean, rng, refused = encoded(picture(7), form), np.random.default_rng(0), 0
    for _ in range(60):
        data = np.frombuffer(clean, np.uint8).copy()
        data[rng.integers(0, len(data), 8)] = rng.integers(0, 256, 8)
        try:
            assert pictures.decode(data[: rng.integers(1, len(data) + 1)].tobytes(), 32)[0].mode == "RGB"
        except ValueError:
            refused += 1
    assert refused > 20
