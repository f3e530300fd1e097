"""Folders that are already split, every kind of file, manifests and credits."""

import csv
import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from fake_services import encoded
from PIL import Image
from test_photo_folders import column, fill, load
from test_photos import picture

from helpers import paths, photos
from helpers.photos import attributions, splits


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "photos", okonomiyaki=12, pizza=14)


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
    (folder / "attributions.csv").write_text("\n".join(rows).replace(",", ";"), encoding="utf-8")
    assert "its first line has to be file,creator,licence" in load(folder).report.notes[0]


FOOD_PHOTOS = paths.DATA / "food_photos"


@pytest.mark.skipif(not FOOD_PHOTOS.is_dir(), reason="data/food_photos is not unpacked here")
def test_real_photos_load_and_hold_one_known_pair():
    loaded = photos.load(FOOD_PHOTOS)
    assert loaded.train.images.shape == (500, 160, 160, 3)
    assert loaded.report.duplicates == [("pizza/1088332.jpg", "pizza/1576248.jpg")]
    assert loaded.report.left_out == {} and len(loaded.manifest) == 1000
