"""Training, validation and test sets out of the kitchen, drawn once and kept under data/."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import paths
from helpers.dishes.dice import Dice
from helpers.dishes.food import ALL_PARTS, CODE, LABELS
from helpers.dishes.scene import GRIDDLE_RATE, choose_background, render
from helpers.dishes.tables import BACKGROUNDS

COUNTS = {"train": 250, "validation": 100, "test": 100}  # a class, as in the blog (section 4.1)


class Split(NamedTuple):
    """N dishes: images uint8 [N,H,W,3]; labels int64 [N] into LABELS; seeds int64 [N]; backgrounds int64 [N] into
    BACKGROUNDS; parts uint8 [N,H,W], 0 beside the dish, else 1 + the index in ALL_PARTS.

    `render(LABELS[labels[i]], seeds[i], background=BACKGROUNDS[backgrounds[i]])` draws dish i again.
    """

    images: np.ndarray
    labels: np.ndarray
    seeds: np.ndarray
    backgrounds: np.ndarray
    parts: np.ndarray

    def mask(self, part):
        """bool [N,H,W]: where the part is seen; "dish" is the whole dish. Raises ValueError for an unknown part."""
        if part == "dish":
            return self.parts > 0
        if part not in CODE:
            raise ValueError(f"part {part!r}: choose dish, {', '.join(ALL_PARTS)}")
        return self.parts == CODE[part]


def make_split(counts=None, seed=0, griddle_rate=None, size=160, keep=True):
    """{name: Split} with counts[name] dishes of each label, shuffled; no dish is in two splits.

    counts: {name: dishes per label}, or three numbers for (train, validation, test), by default COUNTS; seed: int >= 0;
    griddle_rate: {label: probability of the iron griddle} or the probabilities in the order of LABELS, by default
    GRIDDLE_RATE. Only backgrounds depend on it: the same seeds keep their food. size: 64..320 pixels. keep: store the
    pictures under data/dishes and find them there next time (about 25 s for 900 pictures otherwise). Raises ValueError
    for a rate that is no probability and counts that are no whole numbers; errors as for `render`.
    """
    seed, counts, rates = int(seed), _counts(counts), griddle_rates(griddle_rate)
    store = paths.DATA / "dishes" / f"{_fingerprint(counts, seed, rates, size)}.npz"
    if keep and store.exists():
        with np.load(store) as stored:
            return {name: Split(*(stored[f"{name}/{field}"] for field in Split._fields)) for name in counts}
    splits = {name: _draw(place, count, seed, rates, size) for place, (name, count) in enumerate(counts.items())}
    if keep:
        store.parent.mkdir(parents=True, exist_ok=True)
        layers = {f"{name}/{key}": value for name, split in splits.items() for key, value in split._asdict().items()}
        with paths.whole(store, store.with_name(f"{store.stem}.{os.getpid()}.tmp.npz")) as part:
            np.savez(part, **layers)
    return splits


def griddle_rates(given):
    """{label: probability} from a dict, a pair in the order of LABELS, or None for GRIDDLE_RATE."""
    rates, fit = _named(LABELS, GRIDDLE_RATE if given is None else given, lambda rate: 0 <= rate <= 1)
    if not fit or set(rates) != set(LABELS):
        raise ValueError(f"griddle_rate {given!r}: give a probability in [0, 1] for each of {', '.join(LABELS)}")
    return rates


def _counts(given):
    """{split's name: dishes a label} from a dict, three numbers, or None for COUNTS."""
    counts, fit = _named(COUNTS, COUNTS if given is None else given, lambda count: count == int(count) >= 0)
    if not fit:
        raise ValueError(f"counts {counts!r}: give {{name: dishes per label}}, or (train, validation, test), from 0 up")
    return {name: int(count) for name, count in counts.items()}


def _named(names, given, fits):
    """(a dict of what is given as such or in the order of `names`, whether all of it fits)."""
    values, fit = given, False
    with suppress(TypeError, ValueError, OverflowError):  # a single number, too few or too many, or infinitely many
        values = dict(given if hasattr(given, "keys") else zip(names, given, strict=True))
        fit = all(fits(value) for value in values.values())
    return values, fit


def _draw(place, count, seed, rates, size):
    order = [(label, 1_000_000 * seed + 100_000 * place + i) for label in LABELS for i in range(count)]
    images, parts = np.empty((len(order), size, size, 3), np.uint8), np.empty((len(order), size, size), np.uint8)
    labels, seeds, backgrounds = np.empty((3, len(order)), np.int64)
    shuffled = np.argsort(Dice(seed, "shuffle", place).uniforms(len(order)), kind="stable")
    for i, (label, own) in enumerate(order[j] for j in shuffled):
        background = choose_background(label, Dice(own, label, "background"), rates)
        dish = render(label, own, size, background)
        images[i], parts[i] = dish.image, sum(CODE[part] * dish.masks[part] for part in ALL_PARTS)
        labels[i], seeds[i], backgrounds[i] = LABELS.index(label), own, BACKGROUNDS.index(background)
    return Split(images, labels, seeds, backgrounds, parts)


def _fingerprint(*arguments):
    """Name of the stored file: the arguments and the kitchen's own source, so that no old drawing is ever found."""
    digest = hashlib.blake2b(repr(arguments).encode(), digest_size=8)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
