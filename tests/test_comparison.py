"""The study of notebook 10: its scores on hand-made answers, what is kept of them, and the stored file itself."""

import importlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import classifier, dishes, faithfulness, gradcam, paths
from helpers.comparison import methods, networks, results, study
from helpers.faithfulness import randomisation

LEFT = np.arange(4) < 2  # columns of a picture of four


def bright_half(images):
    """Probabilities [B, 2] of a network that looks at the left half: its mean brightness is the first class's."""
    left = np.asarray(images)[:, :, LEFT].mean(axis=(1, 2, 3))
    return np.stack([left, 1 - left], axis=1)


def test_maps_are_scored_without_what_speaks_against_the_class():
    signed = np.array([[[[1.0, 2.0], [-3.0, 1.0]]]])  # [1, 1, 2, 2]: two pixels of two colours
    assert methods.evidence(lambda images, classes: signed)(None, None).tolist() == [[[3, 0]]]
    assert methods.evidence(lambda images, classes: signed[..., 0])(None, None).tolist() == [[[1, 0]]]
    flat = np.array([[[5.0, 6.0, 9.0]]])
    assert methods.above_median(lambda images, classes: flat)(None, None).tolist() == [[[0, 0, 3]]]


def test_a_curve_counts_where_the_baseline_takes_the_class_away():
    images = np.zeros((2, 4, 4, 3), np.float32)
    images[:, :, LEFT] = 1  # mean colour 0.5
    images[1, :, ~LEFT] = 0.8  # mean colour 0.9: the first class stays
    asked = study.judge(bright_half, images)
    assert asked.classes.tolist() == [0, 0]
    assert asked.counted["deletion"].tolist() == [False, False]  # 0.5 is not below one half
    images[0, :, ~LEFT] = -0.2  # mean colour 0.4
    asked = study.judge(bright_half, images)
    found = study.by_network(asked, np.broadcast_to(LEFT.astype(float), (2, 4, 4)))
    # the marked half goes first: (k/10)² of 16 pixels, of which 8 lie on the left, falls 1 -> 0.4 and stays there
    fractions = (np.arange(11) / 10) ** 2
    curve = 1 - 0.6 * np.minimum(np.round(16 * fractions), 8) / 8
    assert found["deletion"][0] == pytest.approx(np.trapezoid(curve, fractions), abs=1e-6)
    assert np.isnan(found["deletion"][1])
    assert found["drop"].tolist() == [0, 0]  # the left half alone is seen whole
    heat = np.broadcast_to(LEFT.astype(float), (2, 4, 4))
    every = study.by_network(asked._replace(counted=dict.fromkeys(asked.counted, np.ones(2, bool))), heat)
    wanted = faithfulness.insertion_curve(bright_half, images, heat, asked.classes, faithfulness.blurred(images))
    np.testing.assert_allclose(every["insertion"], faithfulness.area(*wanted), rtol=1e-6)
    road = faithfulness.road_curve(bright_half, images, heat, asked.classes, study.ROAD).mean(axis=1)
    np.testing.assert_allclose(every["road"], road, rtol=1e-6)


def test_predictions_of_logits_are_probabilities():
    predict = study.predictor(lambda images, training: tf.constant([[0, np.log(3)]], tf.float32), from_logits=True)
    np.testing.assert_allclose(predict(np.zeros((1, 2, 2, 3))), [[0.25, 0.75]], rtol=1e-6)


def test_own_dish_knows_right_from_blind():
    own = np.stack([np.tile(LEFT, (4, 1)), np.tile(~LEFT, (4, 1))])[None].repeat(3, axis=0)  # [3, 2, 4, 4]
    tables = np.zeros((3, 4, 4, 3), np.float32)
    assert study.own_dish(lambda images, classes: own[: len(images), classes[0]], tables, own).tolist() == [1, 1, 1]
    assert study.own_dish(lambda images, classes: np.ones((len(images), 4, 4)), tables, own).tolist() == [0.5] * 3
    assert study.own_dish(lambda images, classes: np.zeros((len(images), 4, 4)), tables, own).tolist() == [0.5] * 3


def test_rank_correlation_with_occlusion_by_hand():
    falls = np.kron(np.array([[4.0, 3.0], [2.0, -1.0]]), np.ones((8, 8)))[None]
    correlations = {1: [[9, 5], [1, 0]], -1: [[0, 1], [5, 9]], 0.8: [[9, 1], [5, 0]], 0: [[1, 1], [1, 1]]}
    for wanted, values in correlations.items():
        maps = np.kron(np.array(values, float), np.ones((8, 8)))[None]
        assert faithfulness.occlusion_correlation(maps, falls, cells=2) == pytest.approx(wanted)


def test_an_interval_over_seeds_and_pictures():
    assert faithfulness.bootstrap_interval(np.full((3, 5), 2.0)) == (2, 2)
    by_seed = np.repeat([[0.0], [3.0], [6.0]], 50, axis=1)
    assert faithfulness.bootstrap_interval(by_seed) == (0, 6)  # the same seed three times: 1 of 27 draws, each way
    rng = np.random.default_rng(0)
    one = rng.random((1, 80))
    assert faithfulness.bootstrap_interval(one) == pytest.approx(faithfulness.bootstrap_interval(one[0]), abs=5e-3)
    unknown = np.where(np.arange(80) < 40, one, np.nan)
    assert faithfulness.bootstrap_interval(unknown) == pytest.approx(
        faithfulness.bootstrap_interval(one[0, :40]), abs=0.02
    )
    assert faithfulness.bootstrap_interval([[1, 1], [np.nan, np.nan], [3, 3]]) == (1, 3)  # where a seed has no score
    with pytest.raises(ValueError, match="all of them NaN"):
        faithfulness.bootstrap_interval(np.full((2, 3), np.nan))


def test_a_network_that_forgot_keeps_its_weights_in_another_order():
    def build():
        return keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(5, 3), keras.layers.Flatten()])

    model = build()
    copies = [study.forgetful(build, model, seed).get_weights()[0] for seed in (0, 0, 1)]
    assert np.array_equal(np.sort(copies[0], None), np.sort(model.get_weights()[0], None))
    assert np.array_equal(copies[0], copies[1]) and not np.array_equal(copies[0], copies[2])
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    same = randomisation.likeness(lambda images, classes: images, [lambda images, classes: -images], images, 0)
    assert same.tolist() == [[1, 1]]


def test_a_killed_study_goes_on_and_is_packed(tmp_path):
    kept = results.Kept(tmp_path / "runs" / "a.npz")
    kept.describe({"accuracy": 0.5, "sha256": "one"})
    kept["pictures", "right"] = [1, 0]
    kept.scores("Grad-CAM", lambda: {"energy": [1.0, 2.0]})
    kept.once("occlusion", "maps", lambda: [5.0])  # these are no score, and are not packed
    kept.scores("occlusion", lambda: {"energy": [3.0]})
    again = results.Kept(kept.file)
    with pytest.raises(ValueError, match=r"a\.npz holds scores of other weights; delete it"):
        again.describe({"sha256": "two"})
    again.describe({"accuracy": 0.5, "sha256": "one"})
    again.scores("Grad-CAM", pytest.fail)
    again.once("Grad-CAM", "twin", lambda: [0.5])
    again.once("Grad-CAM", "twin", pytest.fail)
    about = results.pack({"net": kept.file}, tmp_path / "all.npz")
    stored = results.load(tmp_path / "all.npz")
    assert {key: values.tolist() for key, values in stored.items()} == {
        ("net", "pictures", "right"): [1, 0],
        ("net", "Grad-CAM", "energy"): [1, 2],
        ("net", "Grad-CAM", "twin"): [0.5],
        ("net", "occlusion", "energy"): [3],
    }
    assert about["networks"] == {"net": {"accuracy": 0.5, "sha256": "one"}}
    (tmp_path / "all.npz").write_bytes(b"damaged")
    with pytest.raises(OSError, match="fetch it again"):
        results.load(tmp_path / "all.npz")


def test_the_stored_scores_are_those_of_the_shipped_network():
    stored, name = results.load(), "kitchen_cam"
    about = json.loads(results.FILE.with_suffix(".json").read_text())["networks"][name]
    model = networks.load_trained(name)
    assert about["sha256"] == results.of_weights(model)
    shown = study.pictures(dishes.make_split((0, 0, 100), keep=False)["test"], count=6, pairs=2)
    asked = study.judge(study.predictor(model), shown.images)
    explain = gradcam.GradCAM(model)
    found = study.by_masks(faithfulness.explain_all(explain, shown.images, asked.classes), shown.dish)
    found["own"] = study.own_dish(explain, shown.tables, shown.own)
    for score, values in found.items():
        np.testing.assert_allclose(values, stored[name, "Grad-CAM", score][: len(values)], rtol=1e-3, atol=1e-3)


def test_the_blogs_cnn_is_trained_on_shuffled_labels_and_judged_by_how_many_it_knows(monkeypatch):
    monkeypatch.syspath_prepend(paths.ROOT / "scripts")
    labelled = importlib.import_module("compare_methods").labelled
    images, labels = np.arange(40), np.repeat([0, 1], 20)
    data = classifier.Data((images, labels), (images[:4], labels[:4]), (images, labels), dishes.LABELS, "drawn")
    assert labelled("kitchen_cnn_2", data) is data
    twin = labelled("kitchen_cnn_shuffled", data)
    assert twin.train[0] is images and twin.validation is twin.train and twin.test is data.test
    assert sorted(twin.train[1]) == sorted(labels) and 10 <= (twin.train[1] == labels).sum() <= 30
