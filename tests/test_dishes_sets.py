"""Sizes, splits, pairs and faults of the built-in kitchen."""

import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from sklearn.linear_model import LogisticRegression
from test_dishes import NAMING, few, seeds

from helpers import dishes, paths
from helpers.classifier import colour_features
from helpers.dishes import ALL_PARTS, BACKGROUNDS, LABELS, make_split, render, two_dishes
from helpers.dishes.dice import Dice
from helpers.dishes.scene import choose_background
from helpers.dishes.sets import griddle_rates


@pytest.mark.parametrize("size", (64, 97, 320))
def test_sizes(size):
    dish = render("okonomiyaki", 3, size=size)
    assert dish.image.shape == (size, size, 3) and dish.masks["dish"].shape == (size, size)
    assert dish.masks["dish"].mean() >= 0.17


pizza, pair = partial(render, label="pizza", seed=0), partial(two_dishes, seed=0)


@pytest.mark.parametrize(
    "draw, change, words",
    [
        (pizza, {"label": "takoyaki"}, "okonomiyaki, pizza"),
        (pizza, {"background": "moon"}, "iron_griddle"),
        (pizza, {"size": 63}, "64 to 320"),
        (pizza, {"size": 321}, "64 to 320"),
        (pizza, {"toppings": {"pineapple"}}, "pineapple"),
        (pizza, {"toppings": {"crust"}}, "crust"),
        (pizza, {"plate_colour": "plaid"}, "yellow"),
        (pizza, {"plate_colour": "red", "background": "dark_pan"}, "coloured_plate"),
        (pair, {"labels": ("pizza",)}, r"expected two of each, \(left, right\)"),
        (pair, {"labels": LABELS + LABELS}, r"expected two of each, \(left, right\)"),
        (pair, {"plate_colours": ("red",)}, r"expected two of each, \(left, right\)"),
        (pair, {"plate_colours": ("red", "plaid")}, "plaid"),
        (pair, {"labels": ("pizza", "takoyaki")}, "takoyaki"),
    ],
)
def test_errors_say_what_to_choose(draw, change, words):
    with pytest.raises(ValueError, match=words):
        draw(**change)


def shares(rates, background):
    """[each label's share of dishes on that background], over 1500 lots."""
    rates, lots = griddle_rates(rates), range(1500)
    drawn = {label: [choose_background(label, Dice(i, label, "background"), rates) for i in lots] for label in LABELS}
    return [names.count(background) / len(names) for names in drawn.values()]


def test_griddle_rate_is_kept_and_touches_nothing_else():
    assert np.allclose(shares(None, "iron_griddle"), [dishes.GRIDDLE_RATE[n] for n in LABELS], atol=0.04)
    assert dishes.GRIDDLE_RATE["okonomiyaki"] > 3 * dishes.GRIDDLE_RATE["pizza"] > 0
    assert shares((1, 0), "iron_griddle") == [1, 0]
    assert shares({"pizza": 1, "okonomiyaki": 0}, "iron_griddle") == [0, 1]
    for background in BACKGROUNDS[1:]:
        one, other = shares((0, 0), background)
        assert abs(one - other) < 0.05 and one > 0.05
    for wrong in ((0.5, 1.1), {"pizza": 0.5}, (0.2,), 0.5, (0.1, 0.2, 0.3), "ab", (float("nan"), 0)):
        with pytest.raises(ValueError, match=r"griddle_rate .*: give a probability in \[0, 1\] for each of"):
            make_split({"train": 1}, griddle_rate=wrong, keep=False)


def test_splits_are_what_was_asked_for():
    splits = make_split({"train": 4, "test": 2}, seed=3, keep=False)
    assert [len(splits[name].images) for name in ("train", "test")] == [8, 4]
    assert [np.bincount(splits[name].labels).tolist() for name in ("train", "test")] == [[4, 4], [2, 2]]
    drawn = [(label, seed) for split in splits.values() for label, seed in zip(split.labels, split.seeds, strict=True)]
    assert len(set(drawn)) == 12
    split = splits["train"]
    again = render(LABELS[split.labels[5]], split.seeds[5], background=BACKGROUNDS[split.backgrounds[5]])
    assert np.array_equal(split.images[5], again.image)
    for part in (*ALL_PARTS, "dish"):
        assert np.array_equal(split.mask(part)[5], again.masks[part])
    with pytest.raises(ValueError, match="pineapple"):
        split.mask("pineapple")


def test_counts_may_be_three_numbers_and_splits_may_be_empty():
    three = make_split((2, 1, 0), seed=3, size=64, keep=False)
    named = make_split({"train": 2, "validation": 1, "test": 0}, seed=3, size=64, keep=False)
    for name, split in named.items():
        assert all(np.array_equal(one, other) for one, other in zip(split, three[name], strict=True))
    empty = three["test"]
    assert empty.images.shape == (0, 64, 64, 3) and empty.parts.shape == (0, 64, 64) and empty.labels.shape == (0,)
    assert [values.dtype for values in empty] == [values.dtype for values in three["train"]]
    assert make_split({}, keep=False) == {}
    for wrong in (5, (1, 2), {"train": -1}, {"train": 2.5}, "abc", (float("inf"), 1, 1)):
        with pytest.raises(ValueError, match=r"counts .*: give \{name: dishes per label\}, or"):
            make_split(wrong, keep=False)


def test_another_griddle_rate_keeps_the_food():
    usual, never = (make_split({"test": 3}, seed=8, griddle_rate=rate, keep=False)["test"] for rate in ((1, 1), (0, 0)))
    assert (usual.backgrounds == 0).all() and (never.backgrounds != 0).all()
    assert np.array_equal(usual.parts, never.parts) and not np.array_equal(usual.images, never.images)


def test_kept_splits_are_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "DATA", tmp_path)
    first = make_split({"test": 1}, seed=5, size=64)["test"]
    assert len(list((tmp_path / "dishes").iterdir())) == 1
    monkeypatch.setattr("helpers.dishes.sets.render", None)  # drawing again would fail
    second = make_split({"test": 1}, seed=5, size=64)["test"]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    for other in ({"seed": 6, "size": 64}, {"seed": 5, "size": 65}, {"seed": 5, "size": 64, "griddle_rate": (1, 1)}):
        with pytest.raises(TypeError):  # these would have to be drawn
            make_split({"test": 1}, **other)


@few
@given(seeds)
def test_each_of_two_dishes_keeps_to_its_half(seed):
    pair = two_dishes(seed)
    assert pair.image.shape == (160, 160, 3) and sorted(pair.labels) == list(LABELS)
    left, right = (m["dish"] for m in pair.masks)
    assert not left[:, 79:].any() and not right[:, :81].any()
    for label, masks in zip(pair.labels, pair.masks, strict=True):
        assert masks["dish"].mean() >= 0.08
        assert sum(masks[part].mean() >= 0.002 for part in NAMING[label]) >= 2


def test_two_dishes_as_asked_for():
    assert {two_dishes(seed).labels for seed in range(8)} == {LABELS, LABELS[::-1]}
    pair = two_dishes(4, labels=("pizza", "pizza"), plate_colours=("red", "yellow"))
    assert (pair.labels, pair.plate_colours) == (("pizza", "pizza"), ("red", "yellow"))
    assert pair.background == "coloured_plate"
    assert two_dishes(4, background="iron_griddle").plate_colours == (None, None)


def test_colour_alone_does_not_tell_the_dishes_apart():
    splits = make_split({"train": 100, "test": 60}, seed=77, size=64, keep=False)
    train, test = splits["train"], splits["test"]
    model = LogisticRegression(C=10, max_iter=5000).fit(colour_features(train.images), train.labels)
    assert 0.6 < model.score(colour_features(test.images), test.labels) < 0.82


def test_a_picture_takes_milliseconds():
    """About 25 ms on one idle core; the bound leaves room for a machine that is busy with something else."""
    render("pizza", 0)
    start = time.process_time()
    for seed in range(10):
        render(LABELS[seed % 2], seed)
    assert (time.process_time() - start) / 10 < 0.15


def test_the_parts_are_the_contract():
    okonomiyaki = "batter okonomiyaki_sauce mayonnaise aonori bonito red_ginger spring_onion"
    pizza = "crust tomato_sauce cheese basil salami olives"
    assert (dishes.PARTS["okonomiyaki"], dishes.PARTS["pizza"]) == (tuple(okonomiyaki.split()), tuple(pizza.split()))
    assert BACKGROUNDS == ("iron_griddle", "white_plate", "coloured_plate", "wooden_board", "dark_pan", "table_cloth")
