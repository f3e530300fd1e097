"""The photographs that come with the project, and two of them side by side: then the half is the truth."""

import csv
import itertools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from helpers import paths
from helpers.photos import attributions

FOLDER = paths.ROOT / "pictures"
# what each one shows, in ImageNet's words; it has no class for an astronaut
PAIRED = {"chelsea": "Egyptian cat", "coffee": "espresso", "rocket": "missile", "china": "palace", "flower": "daisy"}
SHOWS = PAIRED | {"astronaut": None}
SKLEARNS = ("china", "flower")  # read from that package


class Photograph(NamedTuple):
    """A picture uint8 [H, W, 3]; its credit, as "CC0 by Rachel Michetti"; of a pair the halves {name: bool [H, W]}."""

    image: np.ndarray
    credit: str
    masks: dict | None = None


def load(name):
    """The `Photograph` of that name, a key of SHOWS.

    Raises ValueError for others; OSError, which says what to do, where its file or its credit is missing or damaged.
    """
    if name not in SHOWS:
        raise ValueError(f"photograph {name!r}: choose one of {', '.join(SHOWS)}")
    try:
        row = next(row for row in attributions.read(FOLDER) if row["file"].startswith(f"{name}."))
        if not (row["licence"] and row["creator"]):
            raise KeyError("credit")
        credit = attributions.credit(row["licence"], row["creator"])
        if name in SKLEARNS:
            return Photograph(load_sample_image(row["file"]), credit)
        with Image.open(FOLDER / row["file"]) as image:
            return Photograph(np.asarray(image.convert("RGB")), credit)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, AttributeError, StopIteration) as error:
        its = f"photograph {name!r}, or its line in pictures/{attributions.ATTRIBUTIONS}"
        raise OSError(f"{its}, is missing or damaged: fetch them again (git checkout -- pictures)") from error


def side_by_side(left, right, size=224):
    """Two photographs, names of SHOWS, each in half of one `Photograph`: its centre, cut to [size, size / 2].

    Raises ValueError for twice the same one and for an odd size; errors as for `load`.
    """
    if left == right:
        raise ValueError(f"{left!r} twice: expected two different photographs, so that the half tells them apart")
    if size < 2 or size % 2:
        raise ValueError(f"size {size}: expected an even number of pixels, for two halves")
    both, half = [load(name) for name in (left, right)], (size // 2, size)
    halves = [ImageOps.fit(Image.fromarray(one.image), half, Image.Resampling.BILINEAR) for one in both]
    on_left = np.broadcast_to(np.arange(size) < size // 2, (size, size))
    credit = "; ".join(dict.fromkeys(one.credit for one in both))
    return Photograph(np.concatenate(halves, axis=1), credit, {left: on_left, right: ~on_left})


class Questions(NamedTuple):
    """Pictures uint8 [N, size, size, 3]; the label each is asked for; the half where that is, bool [N, size, size]."""

    images: np.ndarray
    labels: list
    masks: np.ndarray


def all_pairs():
    """Every two of PAIRED side by side, in both orders, asked for either label: 40 `Questions` about 20 pictures."""
    pairs = [side_by_side(*two) for two in itertools.permutations(PAIRED, 2)]
    asked = [(pair.image, PAIRED[name], mask) for pair in pairs for name, mask in pair.masks.items()]
    images, labels, masks = zip(*asked, strict=True)
    return Questions(np.stack(images), list(labels), np.stack(masks))
