"""Copies of a picture are found and never lie in two splits."""

import io
import itertools
from collections import Counter

import numpy as np
from fake_services import encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance
from test_photos import SMALL, picture

from helpers.photos import pictures, splits


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
