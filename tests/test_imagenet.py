"""The network trained on photographs, the photographs, and two of them side by side."""

import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from helpers import faithfulness, imagenet, maps, paths
from helpers.gradcam import CAM, GradCAM
from helpers.guided import GuidedGradCAM
from helpers.photos import builtin

# the highest logit of each photograph by PyTorch and the original float32 weights: class, value
ORIGINAL = {"chelsea": (285, 8.9290), "coffee": (967, 11.0006), "rocket": (657, 7.2694)}
ORIGINAL |= {"china": (698, 8.2472), "flower": (985, 6.9662), "astronaut": (450, 7.2267)}


@pytest.fixture(scope="module")
def network():
    return imagenet.load()


def photographs(names):
    return np.stack([imagenet.prepare(builtin.load(name).image) for name in names]).astype(np.float32)


def test_logits_are_the_originals_to_the_rounding_of_float16(network):
    logits = keras.Model(network.input, network.get_layer("logits").output).predict(photographs(ORIGINAL), verbose=0)
    for row, (index, value) in zip(logits, ORIGINAL.values(), strict=True):
        assert row.argmax() == index and row[index] == pytest.approx(value, rel=1e-2)
    assert network.count_params() == 4_694_024
    assert (paths.WEIGHTS / "imagenet.weights.h5").stat().st_size < 10e6


def test_photographs_are_named_by_what_they_show(network):
    probabilities = network.predict(photographs(builtin.PAIRED), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    best = imagenet.top(probabilities, 3)
    assert [row[0][0] for row in best] == [builtin.SHOWS[name] for name in builtin.PAIRED]
    assert all(row[0][1] >= row[1][1] >= row[2][1] for row in best) and imagenet.top(probabilities[0], 3) == best[0]
    assert len(imagenet.LABELS) == 1000 and imagenet.LABELS[0] == "tench" and imagenet.LABELS[285] == "Egyptian cat"


@pytest.mark.parametrize(("kind", "least"), [(GradCAM, 40), (GuidedGradCAM, 38)])
def test_every_label_is_found_on_its_own_half(network, kind, least):
    asked = builtin.all_pairs()
    numbers = [imagenet.LABELS.index(label) for label in asked.labels]
    found = faithfulness.explain_all(kind(network), asked.images.astype(np.float32), numbers)
    assert faithfulness.pointing_game(found, asked.masks).sum() >= least
    energy = faithfulness.energy_inside_mask(found, asked.masks)
    assert len(energy) == 40 and energy.mean() > 0.85 and energy.min() > 0.5


def test_grad_cam_is_the_positive_part_of_cam(network):
    pictures = photographs(["chelsea", "china"])
    heat, signed = GradCAM(network)(pictures), CAM(network)(pictures)
    np.testing.assert_allclose(maps.to_unit(heat), maps.to_unit(signed), atol=1e-4)
    assert heat.shape == (2, 7, 7)


def test_other_probabilities_than_this_networks_have_no_labels():
    for bad in (np.zeros((3, 2)), np.zeros(1001), np.zeros((1, 1, 1000)), 0.3):
        with pytest.raises(ValueError, match=r"\[B, 1000\] or \[1000\]"):
            imagenet.top(bad)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            imagenet.top(np.zeros(1000), bad)


def test_no_two_classes_have_the_same_label_whatever_its_case():
    assert len({label.casefold() for label in imagenet.LABELS}) == 1000
    assert (imagenet.LABELS[134], imagenet.LABELS[517]) == ("crane bird", "crane")


def test_any_picture_is_prepared():
    grey, wide = np.full((300, 200), 90, np.uint8), Image.new("RGBA", (500, 100), "red")
    assert imagenet.prepare(grey).shape == imagenet.prepare(wide).shape == (224, 224, 3)
    assert (imagenet.prepare(grey) == 90).all() and imagenet.prepare(wide).dtype == np.uint8
    for bad in (np.zeros((8, 8, 3), np.float32), np.zeros((1, 8, 8, 3), np.uint8), np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            imagenet.prepare(bad)


def test_what_a_picture_shows_does_not_depend_on_its_mode():
    grey = np.broadcast_to(np.linspace(0, 255, 224).astype(np.uint8), (224, 224))
    deep, clear = grey.astype(np.uint16) * 257, Image.new("RGBA", (30, 30), (200, 0, 0, 0))
    others = [Image.fromarray(deep), Image.fromarray(deep.astype(np.int32)), Image.fromarray(np.float32(grey / 255))]
    for other in others:  # of 16 bits, integers, fractions
        np.testing.assert_array_equal(imagenet.prepare(other), imagenet.prepare(grey), err_msg=other.mode)
    for mode in ("RGBA", "LA", "PA"):
        assert (imagenet.prepare(clear.convert(mode)) == 255).all(), mode
    for mode in ("CMYK", "P", "1", "HSV", "YCbCr"):
        assert (imagenet.prepare(Image.new("RGB", (30, 30), "white").convert(mode)) >= 254).all(), mode
    turned = Image.fromarray(grey)
    turned.getexif()[0x0112] = 3  # upside down
    np.testing.assert_array_equal(imagenet.prepare(turned)[..., 0], grey[:, ::-1])
    for bad in (np.zeros((0, 5, 3), np.uint8), Image.new("RGB", (5, 0))):
        with pytest.raises(ValueError, match="pixels; expected at least one"):
            imagenet.prepare(bad)


def test_missing_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"imagenet\.weights\.h5 is not there"):
        imagenet.load()


@pytest.mark.parametrize("there", [b"", b"tench, Tinca tinca\ngoldf", None])
def test_missing_or_damaged_labels_say_what_to_do_when_they_are_needed(there, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    if there is not None:
        (tmp_path / "imagenet_labels.txt").write_bytes(there)
    monkeypatch.setattr(imagenet.network, "NAMES", imagenet.network._names())
    with pytest.raises(OSError, match=r"imagenet_labels\.txt is missing or damaged: expected 1000 lines.*git checkout"):
        imagenet.load()


def test_two_photographs_side_by_side():
    pair = builtin.side_by_side("chelsea", "coffee", size=64)
    left, right = pair.masks["chelsea"], pair.masks["coffee"]
    assert pair.image.shape == (64, 64, 3) and pair.image.dtype == np.uint8
    assert left[:, :32].all() and not left[:, 32:].any() and (left ^ right).all()
    swapped = builtin.side_by_side("coffee", "chelsea", size=64)
    np.testing.assert_array_equal(swapped.image[:, 32:], pair.image[:, :32])
    assert pair.credit == "CC0 by Stéfan van der Walt; CC0 by Rachel Michetti"


def test_pairs_without_two_halves_are_refused():
    with pytest.raises(ValueError, match="'chelsea' twice: expected two different"):
        builtin.side_by_side("chelsea", "chelsea")
    for size in (65, 0, -2):
        with pytest.raises(ValueError, match="even number"):
            builtin.side_by_side("chelsea", "coffee", size)


@pytest.mark.parametrize("file", ["chelsea.jpg", "attributions.csv"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_missing_or_damaged_photographs_say_what_to_do(file, damage, tmp_path, monkeypatch):
    shutil.copytree(builtin.FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(builtin, "FOLDER", tmp_path)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes({"empty": b"", "cut": whole[:60], "garbage": b"\xff\xfe\0"}.get(damage, whole))
    if damage == "missing":
        (tmp_path / file).unlink()
    with pytest.raises(OSError, match=r"photograph 'chelsea'.*missing or damaged.*git checkout"):
        builtin.load("chelsea")


def test_photographs_come_with_their_credits():
    for name in builtin.SHOWS:
        photograph = builtin.load(name)
        assert photograph.image.dtype == np.uint8 and photograph.image.ndim == 3
        assert " by " in photograph.credit and "unknown" not in photograph.credit
    with pytest.raises(ValueError, match="choose one of chelsea"):
        builtin.load("dog")
    assert sum(file.stat().st_size for file in builtin.FOLDER.iterdir()) < 1e6
