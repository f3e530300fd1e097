"""A folder of photos becomes splits; every file of it is accounted for."""

import functools
import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from fake_services import encoded
from numpy.testing import assert_array_equal
from PIL import Image
from test_photos import picture

from helpers import photos
from helpers.photos import splits


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


def test_three_pictures_a_class_are_the_least(tmp_path):
    fill(tmp_path, okonomiyaki=3, pizza=2)
    with pytest.raises(ValueError, match=r"Add pictures, or begin the name of a folder that is no class with _"):
        photos.load(tmp_path)
    fill(tmp_path, pizza=3)
    with pytest.raises(ValueError, match=r"--counts 1 1 1"):
        photos.load(tmp_path)
    assert len(load(tmp_path, (1, 1, 1)).train.files) == 2


def test_copies_of_one_picture_do_not_count_as_many(folder):
    for index in range(12):
        (folder / "pizza" / f"{index:03d}.png").write_bytes((folder / "pizza" / "000.png").read_bytes())
    needed = r"okonomiyaki 12, pizza 14 \(3 different ones\).*Add pictures, or .* --counts 1 1 1"
    with pytest.raises(ValueError, match=needed):
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
