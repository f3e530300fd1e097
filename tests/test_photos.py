"""Photo folders: the zoo of bad files, splits without leaks, manifests that lose nothing."""

import csv
import hashlib
import io
import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from helpers import paths, photos
from helpers.photos import pictures, splits


def picture(seed, size=(96, 80)):
    """Colour blobs that differ from seed to seed as photos do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def fill(root, counts, first_seed=0):
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(first_seed + 1000 * label + index).save(root / name / f"{index:03d}.png")
    return root


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "photos", {"okonomiyaki": 12, "pizza": 14})


def splits_of(loaded):
    return {row["file"]: row["split"] for row in loaded.manifest}


# ---- one file ----


def decoded(image, form="PNG", size=64, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    rgb, notes, _ = pictures.decode(buffer.getvalue(), size)
    assert rgb.mode == "RGB"
    return np.asarray(rgb), "; ".join(notes)


def test_plain_rgb_is_untouched():
    pixels, notes = decoded(picture(1))
    assert notes == ""
    np.testing.assert_array_equal(pixels, np.asarray(picture(1)))


def test_transparency_lies_on_white():
    half = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    half.paste((0, 0, 100, 255), (0, 0, 10, 20))
    pixels, notes = decoded(half)
    assert pixels[5, 15].tolist() == [255, 255, 255] and pixels[5, 5].tolist() == [0, 0, 100]
    assert "transparency" in notes
    pixels, notes = decoded(Image.new("LA", (20, 20), (0, 128)))
    assert pixels[0, 0].tolist() == [127, 127, 127] and "transparency" in notes
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([1, 2, 3, 40, 50, 60])
    pixels, notes = decoded(palette, transparency=1)
    assert pixels[0, 0].tolist() == [255, 255, 255] and "transparency" in notes


def test_palette_grey_bilevel_and_cmyk_become_rgb():
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([1, 2, 3, 40, 50, 60])
    assert (decoded(palette)[0] == [40, 50, 60]).all() and decoded(palette)[1] == "P to RGB"
    assert (decoded(Image.new("L", (20, 20), 77))[0] == 77).all()
    assert (decoded(Image.new("1", (20, 20), 1))[0] == 255).all()
    pixels, notes = decoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG")
    assert notes == "CMYK to RGB" and abs(pixels[5, 5].astype(int) - [255, 0, 0]).max() < 5


def test_sixteen_bits_are_scaled_not_clipped():
    grey = Image.fromarray(np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20))
    pixels, notes = decoded(grey)
    expected = (np.linspace(0, 65535, 400).astype(np.uint16) / 257).round().reshape(20, 20)
    np.testing.assert_array_equal(pixels, np.repeat(expected[..., None], 3, -1))
    assert "16-bit" in notes
    assert decoded(Image.new("RGB", (54, 30)), "BMP")[1] == ""  # its rows are 164 bytes long: no depth of 16 bits
    rgb, notes, _ = pictures.decode(png_rgb16((65535, 32896, 257)), 16)
    assert notes == ["16-bit to 8-bit"] and np.asarray(rgb)[0, 0].tolist() == [255, 128, 1]


def png_rgb16(colour, side=16):
    """A 16-bit RGB PNG by hand: Pillow writes none."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + struct.pack(">3H", *colour) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_shows_the_upright_picture(orientation):
    stored = Image.new("RGB", (60, 40), "black")
    stored.paste("white", (0, 0, 20, 10))  # a mark in the stored top left corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, notes = decoded(stored, "JPEG", exif=exif, quality=95)
    top, left = {
        1: (True, True),
        2: (True, False),
        3: (False, False),
        4: (False, True),
        5: (True, True),
        6: (True, False),
        7: (False, False),
        8: (False, True),
    }[orientation]
    assert pixels.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    assert pixels[2 if top else -3, 2 if left else -3].min() > 200
    assert bool(notes) == (orientation != 1)


def test_exif_turns_the_picture_although_another_tag_is_damaged():
    exif = (
        b"Exif\0\0MM\0*"
        + struct.pack(">IH", 8, 2)
        + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
        + struct.pack(">HHI4s", 0x011A, 2, 4, b"abc\0")
        + bytes(4)
    )  # the resolution is a word, not a number
    pixels, notes = decoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)
    assert pixels.shape == (60, 40, 3) and "upright" in str(notes)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_exif_orientations_that_do_not_exist_turn_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, notes = decoded(picture(1), exif=exif)
    assert notes == ""
    np.testing.assert_array_equal(pixels, np.asarray(picture(1)))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_animations_give_their_first_frame(form):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    pixels, notes = decoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50)
    assert "first of 3 frames" in notes
    assert abs(pixels[9, 9].astype(int) - [255, 0, 0]).max() <= 8


def test_large_jpegs_are_decoded_small_but_never_below_the_wanted_size():
    rgb, *_ = pictures.decode(jpeg(picture(3, (1600, 1200))), 160)
    assert rgb.size == (800, 600)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty"),
        (b"<html>photo unavailable</html>", "no picture"),
        (jpeg(picture(0))[:600], "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "no picture|damaged"),
        (jpeg(Image.new("RGB", (1, 1))), "too small: 1x1"),
        (jpeg(Image.new("RGB", (400, 15))), "too small: 400x15"),
        (png_rgb16((0, 0, 0))[:-30], "damaged"),
    ],
)
def test_unusable_bytes_say_why(data, reason):
    with pytest.raises(ValueError, match=reason):
        pictures.decode(data, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damaged_bytes_give_a_picture_or_a_reason(form):
    buffer = io.BytesIO()
    picture(7).save(buffer, form)
    clean, rng, refused = buffer.getvalue(), np.random.default_rng(0), 0
    for _ in range(60):
        data = np.frombuffer(clean, np.uint8).copy()
        data[rng.integers(0, len(data), 8)] = rng.integers(0, 256, 8)
        try:
            assert pictures.decode(data[: rng.integers(1, len(data) + 1)].tobytes(), 32)[0].mode == "RGB"
        except ValueError:
            refused += 1
    assert refused > 20


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_before_they_are_decoded(monkeypatch):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="decompression bomb"):
        pictures.decode(bomb + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""), 64)


# ---- near-duplicates ----


def groups_of(images):
    return pictures.near_duplicates([pictures.fingerprint(image) for image in images]).tolist()


def test_copies_are_found_and_other_pictures_are_not():
    original, other = picture(5, (320, 240)), picture(6, (320, 240))
    compressed = Image.open(io.BytesIO(jpeg(original, quality=30)))
    copies = [original, compressed, original.resize((100, 75)), ImageEnhance.Brightness(original).enhance(1.1)]
    assert groups_of([*copies, other]) == [0, 0, 0, 0, 1]
    assert len(set(groups_of([picture(seed) for seed in range(300)]))) == 300


def test_flat_pictures_are_copies_only_when_equal():
    assert groups_of([Image.new("RGB", (40, 40), (9, 9, shade)) for shade in (1, 2, 2, 60)]) == [0, 1, 1, 2]


def test_nothing_has_no_groups():
    assert groups_of([]) == []


# ---- splits ----


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=60), st.integers(0, 5))
def test_groups_never_lie_in_two_splits_and_no_split_overflows(items, seed):
    classes = [label for label, _ in items]
    groups = np.unique([group for _, group in items], return_inverse=True)[1] if items else np.zeros(0, int)
    keys = [f"{index}" for index in range(len(items))]
    split_of = splits.assign(classes, groups, keys, (5, 3, 2), seed)
    used = {(group, split) for group, split in zip(groups, split_of, strict=True) if split}
    assert max(Counter(group for group, _ in used).values(), default=1) == 1
    placed = Counter(zip(classes, split_of, strict=True))
    assert all(placed[label, name] <= n for label in "ab" for name, n in zip(splits.NAMES, (5, 3, 2), strict=True))


def test_exactly_enough_pictures_fill_every_split_also_with_pairs():
    classes = ["a"] * 45 + ["b"] * 45
    groups = np.arange(90)
    groups[1:20:2] = groups[0:20:2]  # ten pairs
    for seed in range(20):
        split_of = splits.assign(classes, groups, [str(index) for index in range(90)], (25, 10, 10), seed)
        assert Counter(zip(classes, split_of, strict=True)) == {
            (label, name): n for label in "ab" for name, n in zip(splits.NAMES, (25, 10, 10), strict=True)
        }


def test_splits_are_random_between_seeds():
    keys = [str(index) for index in range(200)]
    one, two = (splits.assign(["a"] * 200, np.arange(200), keys, (50, 30, 20), seed) for seed in (0, 1))
    both = sum(a == b == "train" for a, b in zip(one, two, strict=True))
    assert one != two and both < 30  # expected by chance: 50 * 50 / 200 = 12.5


# ---- a folder ----


def test_a_folder_becomes_splits(folder):
    loaded = photos.load(folder, counts=(6, 3, 3), size=48)
    assert loaded.class_names == ("okonomiyaki", "pizza")
    for name, count in zip(splits.NAMES, (6, 3, 3), strict=True):
        split = getattr(loaded, name)
        assert split.images.shape == (2 * count, 48, 48, 3) and split.images.dtype == np.uint8
        assert np.bincount(split.labels).tolist() == [count, count]
        for file, label, pixels in zip(split.files, split.labels, split.images, strict=True):
            assert file.startswith(loaded.class_names[label])
            source = Image.open(folder / file)  # 96x80: the central 80x80
            expected = source.resize((48, 48), Image.Resampling.BILINEAR, box=(8, 0, 88, 80))
            np.testing.assert_array_equal(pixels, np.asarray(expected))
    files = loaded.train.files + loaded.validation.files + loaded.test.files
    assert len(set(files)) == 24 and len(loaded.report.unused) == 2


def test_a_tilde_is_the_readers_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))  # Windows
    assert photos.load("~/photos", counts=(6, 3, 3), size=32).class_names == ("okonomiyaki", "pizza")


def test_order_of_listing_and_times_do_not_matter(folder, monkeypatch):
    first = photos.load(folder, counts=(6, 3, 3), seed=3, size=32)
    for index, path in enumerate(sorted(folder.rglob("*.png"))):
        os.utime(path, (index, 10_000 - index))
    forwards = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(forwards(path))))
    second = photos.load(folder, counts=(6, 3, 3), seed=3, size=32)
    assert first.manifest == second.manifest
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert splits_of(first) != splits_of(photos.load(folder, counts=(6, 3, 3), seed=4, size=32))


def test_the_users_folder_stays_as_it_is(folder):
    (folder / "pizza" / "broken.jpg").write_bytes(b"no")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    photos.load(folder, counts=(6, 3, 3), size=32)
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_every_file_of_the_zoo_is_accounted_for(folder, monkeypatch):
    pizza = folder / "pizza"
    (pizza / "a folder.jpg").mkdir()
    (pizza / "truncated.jpg").write_bytes(jpeg(picture(50))[:700])
    (pizza / "fake.JPG").write_bytes(b"<html>")
    (pizza / "notes.txt").write_text("not a picture")
    (pizza / "link.png").symlink_to(pizza / "000.png")
    (pizza / "broken link.png").symlink_to(pizza / "nowhere.png")
    picture(51).convert("CMYK").save(pizza / "お好み焼き\n二行目.jpeg")
    picture(52).save(pizza / "CAPITALS.WEBP", "WEBP", lossless=True)
    os.mkfifo(pizza / "pipe.jpg")
    (folder / "loose.jpg").write_bytes(jpeg(picture(53)))
    (folder / "left_out.csv").write_text("not a picture, and not in a class: no concern")
    (folder / "readme.md").write_text("also no picture")
    (folder / "a class elsewhere").symlink_to(folder / "nowhere")
    (folder / ".hidden").mkdir()
    report = photos.load(folder, counts=(6, 3, 3), size=32).report
    assert {name: reason[:9] for name, reason in report.left_out.items()} == {
        "pizza/a folder.jpg": "a folder,",
        "pizza/truncated.jpg": "damaged: ",
        "pizza/fake.JPG": "no pictur",
        "pizza/notes.txt": "none of .",
        "pizza/broken link.png": "a broken ",
        "pizza/pipe.jpg": "a broken ",
        "loose.jpg": "not in a ",
        "readme.md": "not in a ",
        "a class elsewhere": "a broken ",
        ".hidden": "no class:",
    }
    assert report.converted == {"pizza/お好み焼き\n二行目.jpeg": "CMYK to RGB"}
    assert report.duplicates == [("pizza/000.png", "pizza/link.png")]
    loaded = photos.load(folder, counts=(6, 3, 3), size=32)
    listed = {path.relative_to(folder).as_posix() for path in folder.glob("*/*") if not path.is_dir()}
    assert listed <= {row["file"] for row in loaded.manifest}
    assert "fake.JPG" in str(report) and "link.png" in str(report)


def test_a_file_without_permission_is_reported(folder, monkeypatch):
    locked, read_bytes = folder / "pizza" / "005.png", Path.read_bytes

    def read(path):
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)  # the tests may run as root, who may read everything
    loaded = photos.load(folder, counts=(6, 3, 3), size=32)
    assert loaded.report.left_out == {"pizza/005.png": "cannot be read: Permission denied"}


def test_copies_stay_together_across_classes_and_are_reported(folder):
    (folder / "pizza" / "again.jpg").write_bytes(jpeg(Image.open(folder / "okonomiyaki" / "003.png"), quality=60))
    (folder / "pizza" / "twice.png").write_bytes((folder / "pizza" / "004.png").read_bytes())
    for seed in range(8):
        loaded = photos.load(folder, counts=(6, 3, 3), seed=seed, size=32)
        split_of = splits_of(loaded)
        for pair in (("okonomiyaki/003.png", "pizza/again.jpg"), ("pizza/004.png", "pizza/twice.png")):
            assert len({split_of[file] for file in pair} - {"unused"}) <= 1
    assert loaded.report.label_conflicts == [("okonomiyaki/003.png", "pizza/again.jpg")]
    assert ("pizza/004.png", "pizza/twice.png") in loaded.report.duplicates


def test_too_few_pictures_say_the_counts_and_the_way_out(folder):
    (folder / "pizza" / "bad.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"okonomiyaki 12, pizza 14; each class needs 450") as caught:
        photos.load(folder)
    assert "counts=(8, 2, 2)" in str(caught.value) and "--counts 8 2 2" in str(caught.value)
    assert "bad.jpg" in str(caught.value)
    assert len(photos.load(folder, counts=(8, 2, 2), size=32).train.files) == 16


def test_copies_of_one_picture_do_not_count_as_many(folder):
    for index in range(12):
        (folder / "pizza" / f"{index:03d}.png").write_bytes((folder / "pizza" / "000.png").read_bytes())
    with pytest.raises(ValueError, match=r"okonomiyaki 12, pizza 14 \(3 different ones\).*Add pictures, or begin"):
        photos.load(folder, counts=(6, 3, 3), size=32)


def test_one_class_no_class_and_no_folder_are_errors(tmp_path):
    with pytest.raises(ValueError, match="found: none"):
        photos.load(tmp_path)
    fill(tmp_path, {"pizza": 3})
    with pytest.raises(ValueError, match="found: pizza; at least two"):
        photos.load(tmp_path, counts=(1, 1, 1))
    (tmp_path / "okonomiyaki").mkdir()
    with pytest.raises(ValueError, match="okonomiyaki 0, pizza 3"):
        photos.load(tmp_path, counts=(1, 1, 1))
    with pytest.raises(NotADirectoryError, match="no folder"):
        photos.load(tmp_path / "missing")
    with pytest.raises(ValueError, match="three positive numbers"):
        photos.load(tmp_path, counts=(1, 0, 1))


# ---- manifest and credits ----


def test_the_manifest_survives_any_file_name(folder, tmp_path):
    names = ["with space.png", 'comma, "quote".png', "お好み焼き.png", "two\nlines.png", "a\rb.png", "=1.png"]
    names += [os.fsdecode(b"not utf-8 \xff.png")] if os.name == "posix" else []
    for index, name in enumerate(names):
        picture(200 + index).save(folder / "pizza" / name)
    loaded = photos.load(folder, counts=(6, 3, 3), size=32)
    photos.write_manifest(loaded.manifest, tmp_path / "manifest.csv")
    with (tmp_path / "manifest.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as table:
        rows = list(csv.DictReader(table))
    assert rows == loaded.manifest
    for row in rows:
        assert hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest() == row["sha256"]
    assert {f"pizza/{name}" for name in names} < {row["file"] for row in rows}


def test_credits_come_from_the_attributions(folder):
    sha256 = hashlib.sha256((folder / "pizza" / "001.png").read_bytes()).hexdigest()
    with (folder / "attributions.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["file", "sha256", "title", "creator", "licence"])
        writer.writerow(["renamed.png", sha256, "t", "伊藤", "CC BY 2.0"])
        writer.writerow(["pizza/002.png", "", "t", "", "CC0 1.0"])
    loaded = photos.load(folder, counts=(8, 2, 2), size=32)
    credit_of = {row["file"]: row["credit"] for row in loaded.manifest}
    assert credit_of["pizza/001.png"] == "CC BY 2.0 by 伊藤"
    assert credit_of["pizza/002.png"] == "CC0 1.0, creator unknown"
    assert credit_of["pizza/003.png"] == "" and loaded.report.left_out == {}
    for split in (loaded.train, loaded.validation, loaded.test):
        assert split.credits == tuple(credit_of[file] for file in split.files)


def test_damaged_attributions_do_not_stop_the_pictures(folder):
    (folder / "attributions.csv").write_bytes(b"\xff\xfe\x00bad")
    assert "attributions.csv" in photos.load(folder, counts=(6, 3, 3), size=32).report.notes[0]


FOOD_PHOTOS = paths.DATA / "food_photos"


@pytest.mark.skipif(not FOOD_PHOTOS.is_dir(), reason="data/food_photos is not unpacked here")
def test_real_photos_load_and_hold_one_known_pair():
    loaded = photos.load(FOOD_PHOTOS)
    assert loaded.train.images.shape == (500, 160, 160, 3)
    assert loaded.report.duplicates == [("pizza/1088332.jpg", "pizza/1576248.jpg")]
    assert loaded.report.left_out == {} and len(loaded.manifest) == 1000
