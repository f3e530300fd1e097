"""Photo folders: the zoo of bad files, splits without leaks, manifests that lose nothing."""

import csv
import functools
import hashlib
import io
import itertools
import os
import re
import struct
import zlib
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw, ImageEnhance

from helpers import paths, photos
from helpers.photos import attributions, pictures, splits


def picture(seed, size=(96, 80)):
    """Colour blobs that differ from seed to seed as photos do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image, form="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


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


def fill(root, **counts):
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(1000 * label + index).save(root / name / f"{index:03d}.png")
    return root


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "photos", okonomiyaki=12, pizza=14)


def load(folder, counts=(6, 3, 3), **options):
    return photos.load(folder, **{"counts": counts, "size": 32} | options)


def column(loaded, name):
    return {row["file"]: row[name] for row in loaded.manifest}


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


def groups_of(images):
    return pictures.near_duplicates([pictures.fingerprint(image) for image in images]).tolist()


def test_copies_are_found_and_other_pictures_are_not():
    original, other = picture(5, (320, 240)), picture(6, (320, 240))
    compressed = Image.open(io.BytesIO(encoded(original, quality=30)))
    copies = [original, compressed, original.resize((100, 75)), ImageEnhance.Brightness(original).enhance(1.1)]
    assert groups_of([*copies, other]) == [0, 0, 0, 0, 1]
    assert len(set(groups_of([picture(seed) for seed in range(300)]))) == 300
    flat = [Image.new("RGB", SMALL, (9, 9, shade)) for shade in (1, 2, 2, 60)]
    assert groups_of(flat) == [0, 1, 1, 2] and groups_of([]) == []


def chest(seed):
    """An X-ray, as it were: one camera, one pose, every patient another."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (256, 256), 40)
    for box, shade in zip([(20, 60, 236, 300), (50, 40, 120, 210), (136, 40, 206, 210)], (130, 60, 60), strict=True):
        left, top, right, bottom = (side + int(rng.normal(0, 8)) for side in box)
        ImageDraw.Draw(image).ellipse((left, top, right, bottom), shade + int(rng.normal(0, 12)))
    noise = rng.normal(0, 6, (256, 256))
    return Image.fromarray((np.asarray(image.rotate(int(rng.normal(0, 3)))) + noise).clip(0, 255).astype(np.uint8))


def test_pictures_of_one_kind_are_no_copies_of_each_other_but_their_copies_are():
    chests = [chest(seed).convert("RGB") for seed in range(80)]
    assert max(Counter(groups_of(chests)).values()) <= 2
    copies = [ImageEnhance.Brightness(one).enhance(1.1).resize((160, 160)) for one in chests[:9]]
    groups = groups_of(chests + copies)
    assert groups[80:] == groups[:9] and max(Counter(groups).values()) <= 3


def test_a_large_group_is_none_but_for_equal_pictures():
    plates = [Image.new("RGB", (64, 64), "gray") for _ in range(40)]
    for number, plate in enumerate(plates):  # hardly to be told apart: two of each
        ImageDraw.Draw(plate).ellipse((8, 8, 50, 50), (200, 180, 20 + number // 2))
    assert Counter(groups_of(plates)) == Counter({group: 2 for group in range(20)})


def assign(classes, groups, counts, seed):
    return splits.assign(classes, groups, [str(index) for index in range(len(classes))], counts, seed)


def full(counts):
    return Counter({(label, name): n for label in "ab" for name, n in zip(splits.NAMES, counts, strict=True)})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=60), st.integers(0, 5))
def test_groups_never_lie_in_two_splits_and_no_split_overflows(items, seed):
    classes, groups = [label for label, _ in items], np.array([group for _, group in items], int)
    split_of = assign(classes, groups, (5, 3, 2), seed)
    used = {(group, split) for group, split in zip(groups, split_of, strict=True) if split}
    assert max(Counter(group for group, _ in used).values(), default=1) == 1
    assert Counter((label, split) for label, split in zip(classes, split_of, strict=True) if split) <= full((5, 3, 2))


def test_exactly_enough_pictures_fill_every_split_also_with_pairs():
    classes = ["a"] * 45 + ["b"] * 45
    for (paired, counts), seed in itertools.product([(20, (25, 10, 10)), (44, (24, 11, 10))], range(20)):
        groups = np.arange(90)
        groups[1:paired:2] = groups[0:paired:2]
        assert Counter(zip(classes, assign(classes, groups, counts, seed), strict=True)) == full(counts)


def test_splits_are_random_between_seeds():
    one, two = (assign(["a"] * 200, np.arange(200), (50, 30, 20), seed) for seed in (0, 1))
    both = sum(a == b == "train" for a, b in zip(one, two, strict=True))
    assert one != two and both < 30  # expected by chance: 50 * 50 / 200 = 12.5


def test_a_folder_in_the_readers_home_becomes_splits(folder, monkeypatch):
    for name in ("HOME", "USERPROFILE"):  # the latter on Windows
        monkeypatch.setenv(name, str(folder.parent))
    loaded = load("~/photos", size=48)
    assert loaded.class_names == ("okonomiyaki", "pizza")
    for name, count in zip(splits.NAMES, (6, 3, 3), strict=True):
        split = getattr(loaded, name)
        assert split.images.shape == (2 * count, 48, 48, 3) and split.images.dtype == np.uint8
        assert np.bincount(split.labels).tolist() == [count, count]
        for file, label, pixels in zip(split.files, split.labels, split.images, strict=True):
            assert file.startswith(loaded.class_names[label])
            source = Image.open(folder / file)  # 96x80: the central 80x80
            assert_array_equal(pixels, np.asarray(source.resize((48, 48), Image.Resampling.BILINEAR, (8, 0, 88, 80))))
    files = loaded.train.files + loaded.validation.files + loaded.test.files
    assert len(set(files)) == 24 and len(loaded.report.unused) == 2


def test_order_of_listing_and_times_do_not_matter(folder, monkeypatch):
    first = load(folder, seed=3)
    for index, path in enumerate(sorted(folder.rglob("*.png"))):
        os.utime(path, (index, 10_000 - index))
    forwards = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(forwards(path))))
    second = load(folder, seed=3)
    assert first.manifest == second.manifest
    assert_array_equal(first.train.images, second.train.images)
    assert column(first, "split") != column(load(folder, seed=4), "split")


link_to_nowhere = functools.partial(Path.symlink_to, target="nowhere")
UNUSABLE = [  # file, how it comes about or its bytes, why it is left out
    ("pizza/a folder.jpg", Path.mkdir, "a folder,"),
    ("pizza/truncated.jpg", encoded(picture(50))[:700], "damaged: "),
    ("pizza/fake.JPG", b"<html>", "no pictur"),
    ("pizza/notes.txt", b"not a picture", "none of ."),
    ("pizza/broken link.png", link_to_nowhere, "a broken "),
    ("pizza/pipe.jpg", os.mkfifo, "a broken "),
    ("loose.jpg", encoded(picture(53)), "not in a "),
    ("readme.md", b"also no picture", "not in a "),
    ("a class elsewhere", link_to_nowhere, "a broken "),
    (".hidden", Path.mkdir, "no class:"),
]


def test_every_file_of_the_zoo_is_accounted_for_and_stays_as_it_is(folder):
    for file, made, _ in UNUSABLE:
        made(folder / file) if callable(made) else (folder / file).write_bytes(made)
    (folder / "left_out.csv").write_text("not a picture, and not in a class: no concern")
    (folder / "pizza" / "link.png").symlink_to(folder / "pizza" / "000.png")
    picture(51).convert("CMYK").save(folder / "pizza" / "お好み焼き\n二行目.jpeg")
    picture(52).save(folder / "pizza" / "CAPITALS.WEBP", "WEBP", lossless=True)

    def state():
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}

    before, loaded = state(), load(folder)
    report = loaded.report
    assert state() == before
    assert {name: reason[:9] for name, reason in report.left_out.items()} == {file: why for file, _, why in UNUSABLE}
    assert report.converted == {"pizza/お好み焼き\n二行目.jpeg": "CMYK to RGB"}
    assert report.duplicates == [("pizza/000.png", "pizza/link.png")]
    listed = {path.relative_to(folder).as_posix() for path in folder.glob("*/*") if not path.is_dir()}
    assert listed <= set(column(loaded, "split"))
    assert "fake.JPG" in str(report) and "link.png" in str(report)


def test_a_file_without_permission_is_reported(folder, monkeypatch):
    locked, read_bytes = folder / "pizza" / "005.png", Path.read_bytes
    denied = Mock(side_effect=PermissionError(13, "Permission denied"))  # root may read everything
    monkeypatch.setattr(Path, "read_bytes", lambda path: (denied if path == locked else read_bytes)(path))
    assert load(folder).report.left_out == {"pizza/005.png": "cannot be read: Permission denied"}


def test_copies_stay_together_across_classes_and_are_reported(folder):
    (folder / "pizza" / "again.jpg").write_bytes(encoded(Image.open(folder / "okonomiyaki" / "003.png"), quality=60))
    (folder / "pizza" / "twice.png").write_bytes((folder / "pizza" / "004.png").read_bytes())
    across, within = ("okonomiyaki/003.png", "pizza/again.jpg"), ("pizza/004.png", "pizza/twice.png")
    for seed in range(8):
        loaded = load(folder, seed=seed)
        for pair in (across, within):
            assert len({column(loaded, "split")[file] for file in pair} - {"unused"}) <= 1
    assert loaded.report.label_conflicts == [across] and within in loaded.report.duplicates


def test_too_few_pictures_say_the_counts_and_the_way_out(folder):
    (folder / "pizza" / "bad.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"okonomiyaki 12, pizza 14; each class needs 450") as caught:
        photos.load(folder)
    assert all(part in str(caught.value) for part in ("counts=(8, 2, 2)", "--counts 8 2 2", "bad.jpg"))
    assert len(load(folder, (8, 2, 2)).train.files) == 16


def test_copies_of_one_picture_do_not_count_as_many(folder):
    for index in range(12):
        (folder / "pizza" / f"{index:03d}.png").write_bytes((folder / "pizza" / "000.png").read_bytes())
    with pytest.raises(ValueError, match=r"okonomiyaki 12, pizza 14 \(3 different ones\).*Add pictures, or begin"):
        load(folder)


def test_near_duplicates_are_kept_where_that_is_asked_for(folder):
    for index in range(12):  # copies, but not to the byte
        name = folder / "pizza" / f"{index:03d}.png"
        name.write_bytes(encoded(picture(1000), "PNG", compress_level=index % 10 if index < 10 else 9))
    with pytest.raises(ValueError, match=r"pizza 14 .*near_duplicates='keep', --near-duplicates keep"):
        load(folder)
    loaded = load(folder, near_duplicates="keep")
    assert len(loaded.train.files) == 12 and all(len(group) < 8 for group in loaded.report.duplicates)
    with pytest.raises(ValueError, match="choose together or keep"):
        load(folder, near_duplicates="drop")


SPLIT_LAYOUTS = [  # the splits' folders; which folder each split's pictures come from
    (("train", "test"), ("train", "train", "test")),
    (("Training", "Testing"), ("Training", "Training", "Testing")),
    (("train", "val", "test"), ("train", "val", "test")),
    (("TRAIN", "valid"), ("TRAIN", "valid", "TRAIN")),
    (("train",), ("train", "train", "train")),
    (("training_set", "test-set"), ("training_set", "training_set", "test-set")),
    (("1_Train", "2_Val", "3_Test"), ("1_Train", "2_Val", "3_Test")),
]


@pytest.mark.parametrize(("named", "sources"), SPLIT_LAYOUTS)
def test_a_folder_that_is_already_split_is_taken_as_the_split(tmp_path, named, sources):
    for number, name in enumerate(named):
        fill(tmp_path / name, **{f"{label}s": 9 for label in ("cat", "dog")})
        for index, file in enumerate(sorted((tmp_path / name).glob("*/*"))):
            picture(1000 * number + index).save(file)
    fill(tmp_path, notes=1)
    fill(tmp_path / named[-1], _old=1)
    (tmp_path / "labels.csv").touch()
    loaded = photos.load(tmp_path, (3, 2, 1), size=32)
    for name, source, count in zip(splits.NAMES, sources, (3, 2, 1), strict=True):
        split = getattr(loaded, name)
        assert Counter(file.rsplit("/", 1)[0] for file in split.files) == {
            f"{source}/cats": count,
            f"{source}/dogs": count,
        }
        assert [loaded.class_names[label] for label in split.labels] == [file.split("/")[1] for file in split.files]
    assert loaded.class_names == ("cats", "dogs") and "already split" in str(loaded.report)
    assert set(loaded.report.left_out) == {"labels.csv", "notes", f"{named[-1]}/_old"}
    assert column(loaded, "split") == column(photos.load(tmp_path, (3, 2, 1), size=32), "split")
    with pytest.raises(ValueError, match=r"cats 9 in train, dogs 9 in train.*Add pictures, or ask for .*counts=\("):
        photos.load(tmp_path, (10, 9, 9), size=32)


def test_a_picture_of_the_test_folder_is_never_trained_on(tmp_path):
    fill(tmp_path / "train", cat=6, dog=6)
    for label in ("cat", "dog"):
        fill(tmp_path / "test", **{label: 2})
        for index in range(2):
            copied = Image.open(tmp_path / "train" / label / f"{index + 3:03d}.png")
            copied.resize((48, 40)).save(tmp_path / "test" / label / f"{index:03d}.png")
    (tmp_path / "test" / "bird").mkdir()
    loaded = photos.load(tmp_path, (3, 1, 2), size=32)
    assert sorted(Path(file).name for file in loaded.test.files) == ["000.png", "000.png", "001.png", "001.png"]
    assert set(loaded.report.unused) == {
        f"train/{label}/{name}.png" for label in ("cat", "dog") for name in ("003", "004")
    }
    assert loaded.report.left_out == {"test/bird": "no class: train/ has none of this name"}
    assert not loaded.report.label_conflicts and len(loaded.report.duplicates) == 4
    with pytest.raises(ValueError, match=r"cat 6 \(4 different ones\) in train, .* dog 2 in test"):
        photos.load(tmp_path, (3, 2, 2), size=32)


@pytest.mark.parametrize("inside", ["cats", "train/cats"])
def test_a_folder_around_the_one_that_is_meant_says_which_to_give(tmp_path, inside):
    fill((tmp_path / "archive" / inside).parent, cats=3, dogs=3)
    meant = re.escape(str(tmp_path / "archive"))
    with pytest.raises(ValueError, match=f"its one folder holds folders and no pictures: give that folder, {meant}$"):
        photos.load(tmp_path, (1, 1, 1), size=32)
    assert photos.load(tmp_path / "archive", (1, 1, 1), size=32).class_names == ("cats", "dogs")


def test_a_class_named_train_is_a_class(tmp_path):
    fill(tmp_path, train=3, car=3)
    (tmp_path / "train" / "more").mkdir()
    assert load(tmp_path, (1, 1, 1)).class_names == ("car", "train")


def test_every_usual_kind_of_file_is_read(folder):
    for index, kind in enumerate(("bmp", "gif", "tif", "TIFF", "jfif", "avif")):
        form = {"tif": "TIFF", "jfif": "JPEG"}.get(kind, kind.upper())
        (folder / "pizza" / f"{index:03d}.png").unlink()
        (folder / "pizza" / f"{index:03d}.{kind}").write_bytes(encoded(picture(1000 + index), form))
    loaded = load(folder)
    assert not loaded.report.left_out and len(loaded.manifest) == 26


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-x-", "@SUM(1)", "'=x", "''@", "＝1"])
def test_a_cell_is_no_formula_and_reads_as_it_was(text):
    cell = attributions.to_cell(text)
    assert cell == f"'{text}" and attributions.from_cell(cell) == text
    for other in ("'quoted'", "a=b", "", None):
        assert attributions.to_cell(other) == other == attributions.from_cell(other)


@pytest.mark.parametrize(
    ("classes", "counts", "error", "message"),
    [
        ({}, (6, 3, 3), ValueError, "found: none"),
        ({"pizza": 3}, (1, 1, 1), ValueError, "found: pizza; at least two"),
        ({"pizza": 3, "okonomiyaki": 0}, (1, 1, 1), ValueError, "okonomiyaki 0, pizza 3"),
        ({"Test": 3, "train": 3}, (1, 1, 1), ValueError, "already split, into Test, train; .* give one split's folder"),
        (None, (6, 3, 3), NotADirectoryError, "no folder"),
        ({}, (1, 0, 1), ValueError, "three positive numbers"),
    ],
)
def test_one_class_no_class_and_no_folder_are_errors(tmp_path, classes, counts, error, message):
    root = tmp_path / "missing" if classes is None else fill(tmp_path, **classes)
    with pytest.raises(error, match=message):
        photos.load(root, counts)


def test_the_manifest_survives_any_file_name(folder, tmp_path):
    names = ["with space.png", 'comma, "quote".png', "お好み焼き.png", "two\nlines.png", "a\rb.png", "=1.png"]
    names += [os.fsdecode(b"not utf-8 \xff.png")] if os.name == "posix" else []
    for index, name in enumerate(names):
        picture(200 + index).save(folder / "pizza" / name)
    loaded = load(folder)
    photos.write_manifest(loaded.manifest, tmp_path / "manifest.csv")
    with (tmp_path / "manifest.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as table:
        assert list(csv.DictReader(table)) == loaded.manifest
    for file, sha256 in column(loaded, "sha256").items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256
    assert {f"pizza/{name}" for name in names} < set(column(loaded, "sha256"))


def test_credits_come_from_the_attributions_which_stop_nothing_when_damaged(folder):
    sha256 = hashlib.sha256((folder / "pizza" / "001.png").read_bytes()).hexdigest()
    rows = ["file,sha256,title,creator,licence", f"renamed.png,{sha256},t,伊藤,CC BY 2.0", "pizza/002.png,,t,,CC0 1.0"]
    (folder / "attributions.csv").write_text("\n".join(rows), encoding="utf-8")
    loaded = load(folder, (8, 2, 2))
    credit_of = column(loaded, "credit")
    assert credit_of["pizza/001.png"] == "CC BY 2.0 by 伊藤"
    assert credit_of["pizza/002.png"] == "CC0 1.0, creator unknown"
    assert credit_of["pizza/003.png"] == "" and loaded.report.left_out == {}
    for split in (loaded.train, loaded.validation, loaded.test):
        assert split.credits == tuple(credit_of[file] for file in split.files)
    (folder / "attributions.csv").write_bytes(b"\xff\xfe\x00bad")
    assert "attributions.csv" in load(folder).report.notes[0]


FOOD_PHOTOS = paths.DATA / "food_photos"


@pytest.mark.skipif(not FOOD_PHOTOS.is_dir(), reason="data/food_photos is not unpacked here")
def test_real_photos_load_and_hold_one_known_pair():
    loaded = photos.load(FOOD_PHOTOS)
    assert loaded.train.images.shape == (500, 160, 160, 3)
    assert loaded.report.duplicates == [("pizza/1088332.jpg", "pizza/1576248.jpg")]
    assert loaded.report.left_out == {} and len(loaded.manifest) == 1000
