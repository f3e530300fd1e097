import numpy as np
import pytest

from helpers import bias, dishes, paths
from helpers.guided import Gradient
from helpers.training import shipped


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch):
    """Sets drawn in a test are not stored among the reader's."""
    monkeypatch.setattr(paths, "DATA", tmp_path)


def test_without_dish_repeats_the_nearest_background():
    row = np.arange(14, dtype=np.uint8)[None, :, None] * np.ones(3, np.uint8)
    mask = np.isin(np.arange(14), [4, 5, 13])[None]  # with the margin: 2 to 7, and 11 to 13
    np.testing.assert_array_equal(bias.without_dish(row, mask)[0, :, 0], [0, 1, 1, 1, 1, 8, 8, 8, 8, 9, 10, 10, 10, 10])


def test_exchanged_pictures_keep_their_dish_and_no_other():
    images = np.random.default_rng(0).integers(0, 120, (12, 12, 12, 3)).astype(np.uint8)
    masks = np.zeros((12, 12, 12), bool)
    for number, mask in enumerate(masks):  # left and right: no borrower's dish covers every lender's
        mask[4:8, 5 * (number % 2) + 1 : 5 * (number % 2) + 4] = True
    masks[0] = True  # nothing but dish: it gets by without a background
    images[masks] = 255  # dishes are white, no background is
    exchanged = bias.exchange_backgrounds(images, masks)
    np.testing.assert_array_equal(exchanged[masks], images[masks])
    assert exchanged[~masks].max() < 255  # no lender's dish is to be seen
    same = (exchanged == images)[~masks].all(-1).reshape(11, -1).all(1)
    assert same.sum() <= 3
    np.testing.assert_array_equal(exchanged, bias.exchange_backgrounds(images, masks))
    with pytest.raises(ValueError, match="no picture has 20% of background"):
        bias.exchange_backgrounds(images, np.ones((12, 12, 12), bool))


def test_lenders_are_drawn_whatever_their_class():
    """A biased set: the background no longer tells the class once it is exchanged."""
    labels = np.repeat([0, 1], 300)
    griddle = np.where(np.arange(600) % 10 == 0, 1 - labels, labels)  # 90 % tell the class
    images = np.broadcast_to((100 * griddle + 50).astype(np.uint8)[:, None, None, None], (600, 8, 8, 3))
    masks = np.zeros((600, 8, 8), bool)
    masks[:, 3:5, 3:5] = True
    exchanged = bias.exchange_backgrounds(images, masks)[:, 0, 0, 0] > 100
    assert (griddle == labels).mean() == 0.9 and abs((exchanged == labels).mean() - 0.5) < 0.06


def test_the_sets_differ_in_their_backgrounds_alone(nothing_kept):
    tests = bias.test_sets(count=12, size=64)
    for name, split in tests.items():
        np.testing.assert_array_equal(split.labels, tests["ordinary"].labels)
        np.testing.assert_array_equal(split.parts, tests["ordinary"].parts)
        assert len(split.labels) == 24, name
    train = dishes.make_split({"train": 12}, bias.TRAIN_SEED, size=64)["train"]
    assert set(tests["ordinary"].seeds).isdisjoint(train.seeds)


def test_half_of_the_pictures_are_cured_or_give_way_to_new_dishes(nothing_kept):
    images, labels = bias.training_set("biased", count=3)
    cured, _ = bias.training_set("cured", count=3)
    new = dishes.make_split({"train": 2}, bias.NEW_SEED, bias.RATES["balanced"], bias.SIZE)["train"]
    sets = {"half-cured": cured, "diverse": None}
    for condition, replaced in sets.items():
        half, same_labels = bias.training_set(condition, count=3)
        np.testing.assert_array_equal(same_labels, labels)
        for label in (0, 1):  # of three dishes of a class, the first and the last
            own, kept = half[labels == label], images[labels == label]
            np.testing.assert_array_equal(own[1], kept[1])
            wanted = new.images[new.labels == label] if replaced is None else replaced[labels == label][[0, 2]]
            np.testing.assert_array_equal(own[[0, 2]], wanted)


def test_background_energy_is_the_share_beside_the_dish(nothing_kept):
    """A network whose map is the same everywhere has the background's share of the energy, on griddles alone."""
    split = bias.test_sets(count=6, size=64)["balanced"]
    network = bias.build_cnn(64)
    network.set_weights([np.zeros_like(weight) for weight in network.get_weights()])
    on_griddle = split.backgrounds == 0
    assert 0 < on_griddle.sum() < 12
    beside = (~split.mask("dish")[on_griddle]).mean((1, 2))
    np.testing.assert_allclose(bias.background_energy(network, split), beside, rtol=1e-6)


def test_what_speaks_for_okonomiyaki_speaks_against_pizza():
    """Exchanging the two classes turns the score round; adding to both logits leaves it."""
    network = bias.build_cnn(40)
    images = np.random.default_rng(1).random((2, 40, 40, 3), np.float32)
    slope = Gradient(network, score=bias.okonomiyaki_rather)(images)
    kernel, offset = network.get_layer("classes").get_weights()
    network.get_layer("classes").set_weights([kernel[:, ::-1] + 3 * kernel[:, :1], offset + 5])
    turned = Gradient(network, score=bias.okonomiyaki_rather)(images)
    assert np.abs(slope).max() > 0
    np.testing.assert_allclose(turned, -slope, atol=1e-4 * np.abs(slope).max())


def test_training_resumes(tmp_path):
    """The same call once more trains nothing; another recipe and other pictures are refused."""
    labels, images = np.arange(50) % 2, np.random.default_rng(0).integers(100, 150, (50, 40, 40, 3)).astype(np.uint8)
    call = "biased", 0, tmp_path / "run"
    first, again = (bias.train(*call, (images, labels), epochs=2, progress=False)[1] for _ in range(2))
    assert first == again and len(first) == 2  # with its seconds
    with pytest.raises(ValueError, match="recipe"):
        bias.train(*call, (images, labels), epochs=3, progress=False)
    with pytest.raises(ValueError, match="recipe"):
        bias.train(*call, (255 - images, labels), epochs=2, progress=False)


def test_unknown_networks_are_refused():
    for message, *wrong in (["conditions are biased, balanced, cured", "unbiased", 0], ["seeds", "biased", 99]):
        with pytest.raises(ValueError, match=message):
            bias.load(*wrong)
    with pytest.raises(ValueError, match="condition 'half_cured': choose one of biased"):
        bias.training_set("half_cured")


def test_the_ordinary_test_hides_the_bias_and_the_swapped_one_and_the_maps_show_it(monkeypatch):
    """The shipped networks, means over the seeds."""
    network = bias.build_cnn()  # takes all their weights in turn
    monkeypatch.setattr(bias, "build_cnn", lambda: network)
    tests, ordinary, swapped, energy = bias.test_sets(), {}, {}, {}
    for condition in bias.CONDITIONS:
        rows = [bias.measure(bias.load(condition, seed), tests) for seed in bias.SEEDS]
        for seed, row in zip(bias.SEEDS, rows, strict=True):
            stated = shipped.known(f"bias_{condition}_{seed}")
            assert row == pytest.approx({name: stated[name] for name in row}, abs=0.01)  # of 400 pictures
        for name, means in (("ordinary", ordinary), ("swapped", swapped), ("energy", energy)):
            means[condition] = np.mean([row[name] for row in rows])
    assert ordinary["biased"] > ordinary["balanced"] > 0.8
    assert swapped["biased"] < min(swapped["balanced"], swapped["cured"]) - 0.2
    assert swapped["biased"] + 0.15 < min(swapped["half-cured"], swapped["diverse"]) < swapped["cured"]
    assert ordinary["biased"] - swapped["biased"] > 3 * abs(ordinary["balanced"] - swapped["balanced"])
    assert energy["biased"] > energy["balanced"] + 0.05 and energy["biased"] > energy["cured"] + 0.05
