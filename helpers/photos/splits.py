"""Which picture goes into which split: seeded, balanced, groups of near-duplicates kept together."""

import hashlib
from collections import Counter

import numpy as np

NAMES = ("train", "validation", "test")


def check_counts(counts):
    """Raise ValueError unless `counts` are three positive numbers: pictures a class in each of the splits NAMES."""
    if len(counts) != 3 or min(counts) < 1:
        raise ValueError(f"counts {counts}: expected three positive numbers, (train, validation, test) per class")


def assign(classes, groups, keys, counts, seed=0):
    """The split's name for each of N pictures, "" where the splits have no room.

    classes: class of each picture; groups: int [N], pictures of one group never lie in two splits; keys: text [N], for
    example checksums: what is drawn follows from (seed, key) alone; counts: wanted in each split, a class.
    Splits stay short where there are too few pictures: callers check.
    """
    lots = [hashlib.sha256(f"{seed} {key}".encode()).digest() for key in keys]
    members = [np.flatnonzero(np.equal(groups, group)) for group in np.unique(groups)]
    drawn = sorted(members, key=lambda group: min(lots[index] for index in group))
    room = {name: dict.fromkeys(classes, count) for name, count in zip(NAMES, counts, strict=True)}
    split_of = [""] * len(classes)
    for group in _large_first(drawn, classes, sum(counts)):
        best = _roomiest(room, Counter(classes[index] for index in group), counts)
        for index in group:
            if room[best][classes[index]]:
                room[best][classes[index]] -= 1
                split_of[index] = best
    return split_of


def assign_within(given, present, classes, groups, keys, counts, seed=0):
    """The same where a folder is already split: given: the split of each picture's folder, "" where it has none.

    present: the splits that have a folder; the others are drawn from the training pictures. Of a group that lies in
    several splits only the pictures in the last of them are used, so that no picture like a test picture trains.
    """
    last = last_splits(given, groups)
    split_of = [""] * len(classes)
    for pool in sorted(set(given)):
        own = [place for place, name in enumerate(given) if name == pool == last[groups[place]]]
        wanted = [count * (name in filled_from(pool, present)) for name, count in zip(NAMES, counts, strict=True)]
        facts = ([column[place] for place in own] for column in (classes, groups, keys))
        for place, name in zip(own, assign(*facts, wanted, seed), strict=True):
            split_of[place] = name
    return split_of


def last_splits(given, groups):
    """{group: the last of the splits in whose folders its pictures lie}"""
    last = {}
    for name, group in zip(given, groups, strict=True):
        last[group] = max(last.get(group, ""), name, key=("", *NAMES).index)
    return last


def filled_from(pool, present):
    """The splits that are filled from the pictures of one split's folder, or from "", a folder that is not split."""
    return [name for name in NAMES if pool in ("", name) or (pool == "train" and name not in present)]


def _large_first(drawn, classes, needed):
    """The groups that suffice for every class, largest first so that each finds a split with room; then the others."""
    have, enough = dict.fromkeys(classes, 0), 0
    while enough < len(drawn) and min(have.values()) < needed:
        for index in drawn[enough]:
            have[classes[index]] += 1
        enough += 1
    return sorted(drawn[:enough], key=len, reverse=True) + drawn[enough:]


def _roomiest(room, wanted, counts):
    """The split that takes most of a group; of those the one with the largest share of its room left."""

    def taken_and_left(name):
        taken = sum(min(room[name][label], number) for label, number in wanted.items())
        return taken, sum(room[name][label] for label in wanted) / counts[NAMES.index(name)]

    return max((name for name, count in zip(NAMES, counts, strict=True) if count), key=taken_and_left)
