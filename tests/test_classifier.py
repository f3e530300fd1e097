"""The blog's classifier: its layers, training that is killed and goes on, numbers computed by hand."""

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from small_training import history_of

from helpers import classifier, paths, plots

NAMES = ("okonomiyaki", "pizza")
TESTS = Path(__file__).resolve().parent


def stripes(count, seed, size=24):
    """Pictures uint8 a small network can tell apart: horizontal stripes are class 0, vertical ones class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 128 + 90 * np.sign(np.sin(np.arange(size)[:, None] * 1.5 + np.zeros(size)))
    images = np.stack([wave if label == 0 else wave.T for label in labels])[..., None]
    return (images + rng.normal(0, 25, (count, size, size, 3))).clip(0, 255).astype(np.uint8), labels


def small_data():
    return classifier.Data(stripes(35, 1), stripes(10, 2), stripes(12, 3), NAMES, "stripes")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for folder in ("RUNS", "WEIGHTS"):
        (tmp_path / folder.lower()).mkdir()
        monkeypatch.setattr(paths, folder, tmp_path / folder.lower())
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return tmp_path / "runs"


# ---- the network ----


def test_the_network_is_the_blogs():
    model = classifier.build_cnn()
    assert model.count_params() == 2_914_562
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    assert shapes == {
        "conv1": (158, 158, 64),
        "relu1": (158, 158, 64),
        "conv2": (156, 156, 64),
        "relu2": (156, 156, 64),
        "pool2": (78, 78, 64),
        "conv3": (76, 76, 128),
        "relu3": (76, 76, 128),
        "pool3": (38, 38, 128),
        "conv4": (36, 36, 128),
        "relu4": (36, 36, 128),
        "pool4": (18, 18, 128),
        "flatten": (41472,),
        "dense": (64,),
        "relu_dense": (64,),
        "dropout": (64,),
        "logits": (2,),
        "softmax": (2,),
    }
    assert model.get_layer("dropout").rate == 0.5
    uniform = model.get_layer("logits").get_weights()[0]
    assert abs(uniform).max() <= 0.05 and abs(uniform).std() > 0.01


def test_other_classes_and_sizes():
    assert classifier.build_cnn(5, 64).output_shape == (None, 5)
    assert classifier.build_cnn(2, 24).get_layer("pool4").output.shape[1:] == (1, 1, 128)
    with pytest.raises(ValueError, match="at least 24"):
        classifier.build_cnn(2, 23)


def test_probabilities_stay_float32_in_mixed_precision():
    model = classifier.build_cnn(2, 24, dtype="mixed_bfloat16")
    assert model.get_layer("conv4").compute_dtype == "bfloat16" and model.get_layer("conv4").kernel.dtype == "float32"
    outputs = model(stripes(4, 0)[0] / np.float32(255))
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(np.sum(outputs, -1), 1, rtol=1e-6)


# ---- counting ----


class Sure:
    """A model whose "pictures" are the classes it answers."""

    def __init__(self, classes):
        self.output_shape = None, classes

    def __call__(self, pictures, training):
        return np.eye(self.output_shape[1])[pictures]


def test_confusion_matrix_has_the_true_class_in_rows():
    labels = np.repeat([0, 1], 100)
    predicted = np.concatenate([np.repeat([0, 1], [90, 10]), np.repeat([0, 1], [14, 86])])
    measured = classifier.measure(Sure(2), predicted, labels)
    assert measured == {"accuracy": 0.88, "confusion_matrix": [[90, 10], [14, 86]]}
    assert classifier.measure(Sure(3), [0], [2])["confusion_matrix"] == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_the_drawn_matrix_shows_each_count_in_its_cell():
    figure = Figure()
    axes = plots.confusion_matrix(figure.subplots(), [[90, 10], [14, 86]], NAMES)
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "90",
        (1, 0): "10",
        (0, 1): "14",
        (1, 1): "86",
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_predict_takes_bytes_and_unit_floats_alike():
    model, images = classifier.build_cnn(2, 24), stripes(5, 0)[0]
    np.testing.assert_array_equal(
        classifier.predict(model, images), classifier.predict(model, images.astype(np.float32) / 255)
    )


def test_colour_features_by_hand():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0] = (255, 64, 0)  # cell (3, 1, 0) -> 3*16 + 1*4 + 0 = 52
    features = classifier.colour_features(images)
    assert features.shape == (1, 67)
    np.testing.assert_allclose(features[0, :3], [0.25, 64 / 255 / 4, 0])
    assert features[0, 3 + 52] == 0.25 and features[0, 3] == 0.75 and features[0, 3:].sum() == 1


def test_colour_baseline_sees_colour_and_nothing_else():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (60, 8, 8, 3), dtype=np.uint8)
    images[::2, ..., 0] += 60
    baseline = classifier.colour_baseline(images[:40], np.arange(40) % 2)
    assert baseline.score(images[40:], np.arange(40, 60) % 2) == 1.0
    shapes, labels = stripes(80, 5)
    assert classifier.colour_baseline(shapes[:40], labels[:40]).score(shapes[40:], labels[40:]) < 0.75


# ---- training ----


def test_training_learns_measures_and_can_be_loaded(runs):
    model, metrics = classifier.train("stripes", small_data(), epochs=25, seed=1, progress=False)
    assert metrics["accuracy"] >= 0.9
    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.sum(1).tolist() == [6, 6] and np.trace(matrix) == 12 * metrics["accuracy"]
    on_disk = json.loads((runs / "stripes" / "metrics.json").read_text())
    assert on_disk == metrics and metrics["seed"] == 1 and metrics["epochs"] == 25
    validation = metrics["history"]["validation_accuracy"]
    assert metrics["best_epoch"] == 1 + validation.index(max(validation))
    for name in ("runs/stripes", "stripes"):
        loaded, about = classifier.load_trained(name)
        images, _ = small_data().test
        np.testing.assert_array_equal(classifier.predict(loaded, images), classifier.predict(model, images))
        assert about == metrics
    best = classifier.measure(model, *small_data().validation)
    assert best["accuracy"] == max(validation)


def test_more_epochs_go_on_from_where_it_ended(runs):
    classifier.train("long", small_data(), epochs=4, progress=False)
    classifier.train("short", small_data(), epochs=2, progress=False)
    classifier.train("short", small_data(), epochs=4, progress=False)
    assert rows("long") == rows("short")


def rows(run):
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in history_of(classifier.run_folder(run))
    ]


def test_another_seed_or_other_pictures_may_not_go_on_in_the_same_folder(runs):
    classifier.train("mine", small_data(), epochs=1, progress=False)
    with pytest.raises(ValueError, match="another run name"):
        classifier.train("mine", small_data(), epochs=2, seed=1, progress=False)
    with pytest.raises(ValueError, match="another run name"):
        classifier.train("mine", small_data()._replace(train=stripes(35, 9)), epochs=2, progress=False)


def test_shipped_weights_are_rounded_and_measured_as_rounded(runs):
    classifier.train("stripes", small_data(), epochs=3, progress=False)
    metrics = classifier.ship("stripes", small_data().test, "shipped")
    files = paths.WEIGHTS / "shipped.weights.h5", runs / "stripes" / "best.weights.h5"
    assert files[0].stat().st_size < 0.65 * files[1].stat().st_size
    loaded, about = classifier.load_trained("shipped")
    exact, _ = classifier.load_trained("runs/stripes")
    for rounded, weight in zip(loaded.get_weights(), exact.get_weights(), strict=True):
        assert rounded.dtype == np.float32
        np.testing.assert_allclose(rounded, weight, rtol=1e-3, atol=1e-7)
    assert about == metrics and about["weights"] == "float16"
    assert classifier.measure(loaded, *small_data().test)["accuracy"] == about["accuracy"]


def test_metrics_of_an_earlier_ending_are_not_taken_for_newer_weights(runs):
    classifier.train("mine", small_data(), epochs=1, progress=False)
    best = runs / "mine" / "best.weights.h5"
    best.write_bytes(best.read_bytes() + b"newer")  # trained further, and stopped before the end
    with pytest.raises(FileNotFoundError, match=r"mine was trained on since.*same command again"):
        classifier.load_trained("runs/mine")
    classifier.train("mine", small_data(), epochs=1, progress=False)
    assert classifier.load_trained("runs/mine")


def test_damaged_shipped_weights_are_refused(runs):
    classifier.train("mine", small_data(), epochs=1, progress=False)
    classifier.ship("mine", small_data().test, "shipped")
    file = paths.WEIGHTS / "shipped.weights.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(OSError, match="is damaged"):
        classifier.load_trained("shipped")


def test_other_pictures_than_those_of_the_training_are_found_out(runs):
    data = small_data()
    _, metrics = classifier.train("mine", data, epochs=1, progress=False)
    classifier.check_data(metrics, data)
    swapped = data._replace(train=data.test, test=data.train)
    with pytest.raises(ValueError, match="saw other pictures"):
        classifier.check_data(metrics, swapped)


def test_missing_or_unfinished_training_says_what_to_do(runs):
    with pytest.raises(FileNotFoundError, match="make train"):
        classifier.load_trained("runs/none")
    for unnamed in ("", "runs", "runs/"):
        with pytest.raises(ValueError, match="a name is wanted"):
            classifier.run_folder(unnamed)
    (runs / "half").mkdir()
    (runs / "half" / "best.weights.h5").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no finished training 'half'"):
        classifier.load_trained("half")


@pytest.mark.filterwarnings("ignore::UserWarning:keras.*")
def test_mixed_float16_trains_with_a_scaled_loss(runs):
    keras.config.set_dtype_policy("mixed_float16")
    data = classifier.Data(stripes(4, 1), stripes(2, 2), stripes(2, 3), NAMES, "stripes")
    try:
        _, metrics = classifier.train("half", data, epochs=1, progress=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert metrics["precision"] == "mixed_float16" and np.isfinite(metrics["history"]["loss"]).all()


SCRIPT = """
import sys
from pathlib import Path
from helpers import paths
paths.ROOT = Path(sys.argv[1]); paths.RUNS = paths.ROOT / "runs"
from helpers import classifier
sys.path.insert(0, sys.argv[2])
from test_classifier import small_data
classifier.train("killed", small_data(), epochs=int(sys.argv[3]), seed=4, progress=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_training_killed_again_and_again_ends_with_the_unbroken_history(runs):
    epochs, kills = 20, 0
    python = [sys.executable, "-c", SCRIPT, str(runs.parent), str(TESTS), str(epochs)]
    dice = random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(python, cwd=TESTS.parent)
        started = len(rows("killed"))
        while process.poll() is None and len(rows("killed")) < started + 3:
            time.sleep(0.05)
        time.sleep(dice.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills == 2
    for run in ("killed", "unbroken"):
        classifier.train(run, small_data(), epochs=epochs, seed=4, progress=False)
    assert len(rows("unbroken")) == epochs
    assert rows("killed") == rows("unbroken")
    one, two = (np.load(runs / run / "state.npz") for run in ("killed", "unbroken"))
    for name in set(one.files) - {"about"}:
        np.testing.assert_array_equal(one[name], two[name])


# ---- the command line ----


@pytest.fixture
def photo_folder(tmp_path):
    for label, name in enumerate(NAMES):
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for index in range(9):
            coarse = np.random.default_rng(index + 100 * label).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((60, 60)).save(tmp_path / "my photos" / name / f"{index}.png")
    (tmp_path / "my photos" / "pizza" / "broken.jpg").write_bytes(b"no picture")
    return tmp_path / "my photos"


def command(*arguments):
    train_classifier = runpy.run_path(str(TESTS.parent / "scripts" / "train_classifier.py"))
    train_classifier["main"](["--precision", "float32", "--epochs", "1", *map(str, arguments)])


def test_the_command_trains_on_a_folder_of_photos(runs, photo_folder, capsys):
    command("--photos", photo_folder, "--counts", 5, 2, 2)
    run, printed = runs / "my photos", capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["class_names"] == list(NAMES) and metrics["epochs"] == 1 and metrics["seed"] == 0
    assert metrics["pictures"] == [10, 4, 4] and metrics["seconds"] > 0
    assert "broken.jpg" in printed and 'WEIGHTS = "runs/my photos"' in printed
    assert len((run / "manifest.csv").read_text(encoding="utf-8").splitlines()) == 20
    model, _ = classifier.load_trained("runs/my photos")
    assert model.count_params() == 2_914_562


def test_the_command_trains_on_the_kitchen_and_ships(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    command("--counts", 3, 1, 2, "--ship", "tiny")
    metrics = json.loads((paths.WEIGHTS / "tiny.json").read_text())
    assert metrics["source"] == "built-in kitchen" and metrics["pictures"] == [6, 2, 4]
    assert (paths.WEIGHTS / "tiny.weights.h5").stat().st_size < 6_000_000
    assert f"{metrics['accuracy']:.1%} of the test pictures" in capsys.readouterr().out


def test_the_command_ends_with_a_plain_message_for_too_few_pictures(runs, photo_folder):
    with pytest.raises(SystemExit, match=r"error: .*okonomiyaki 9, pizza 9"):
        command("--photos", photo_folder)


def test_the_command_leaves_another_trainings_manifest_alone(runs, photo_folder):
    command("--photos", photo_folder, "--counts", 5, 2, 2)
    before = (runs / "my photos" / "manifest.csv").read_bytes()
    (photo_folder / "pizza" / "broken.jpg").unlink()
    with pytest.raises(SystemExit, match="error: my photos was trained by the recipe"):
        command("--photos", photo_folder, "--counts", 4, 2, 2)
    assert (runs / "my photos" / "manifest.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--counts", 2, 0, 1], r"counts \[2, 0, 1\]: three positive numbers"),
        (["--seed", -1], "Seed must be between"),
        (["--counts", 1, 1, 1, "--epochs", 0], "epochs 0: at least 1 is needed"),
    ],
)
def test_the_command_ends_with_a_plain_message_for_wrong_numbers(runs, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    with pytest.raises(SystemExit, match=f"error: {complaint}"):
        command(*arguments)
    assert not list(runs.iterdir())
