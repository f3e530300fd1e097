"""The blog's classifier: its layers, training that goes on where it was, numbers computed by hand."""

import json
import shutil

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from small_training import history_of

from helpers import classifier, paths, plots, training

NAMES = ("okonomiyaki", "pizza")


def stripes(count, seed, size=24):
    """Pictures uint8 a small network can tell apart: horizontal stripes are class 0, vertical ones class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 128 + 90 * np.sign(np.sin(np.arange(size)[:, None] * 1.5 + np.zeros(size)))
    images = np.stack([wave if label == 0 else wave.T for label in labels])[..., None]
    return (images + rng.normal(0, 25, (count, size, size, 3))).clip(0, 255).astype(np.uint8), labels


DATA = classifier.Data(stripes(30, 1), stripes(10, 2), stripes(12, 3), NAMES, "stripes")


def train(run, epochs=1, data=DATA, **options):
    return classifier.train(run, data, epochs, progress=False, **options)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a finished training, its network and its metrics."""
    folder = tmp_path_factory.mktemp("learned") / "stripes"
    return folder, *train(folder, epochs=25, seed=1)


def test_the_network_is_the_blogs():
    model = classifier.build_cnn()
    assert model.count_params() == 2_914_562
    shapes = "conv1 158x158x64 relu1 158x158x64 conv2 156x156x64 relu2 156x156x64 pool2 78x78x64 conv3 76x76x128 relu3 "
    shapes += "76x76x128 pool3 38x38x128 conv4 36x36x128 relu4 36x36x128 pool4 18x18x128 flatten 41472 dense 64 "
    shapes += "relu_dense 64 dropout 64 logits 2 softmax 2"
    found = [f"{layer.name} {'x'.join(str(size) for size in layer.output.shape[1:])}" for layer in model.layers]
    assert " ".join(found) == shapes
    assert model.get_layer("dropout").rate == 0.5
    uniform = model.get_layer("logits").get_weights()[0]
    assert abs(uniform).max() <= 0.05 and abs(uniform).std() > 0.01
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


def measured(predicted, labels, classes):
    """The measures of a network whose "pictures" are its answers."""
    pictures = keras.Input((classes,))
    sure = keras.Model(pictures, keras.layers.Identity()(pictures))
    return classifier.measure(sure, np.eye(classes)[predicted], labels)


def test_confusion_matrix_has_the_true_class_in_rows():
    labels, matrix = np.repeat([0, 1], 100), [[90, 10], [14, 86]]
    predicted = np.concatenate([np.repeat([0, 1], [90, 10]), np.repeat([0, 1], [14, 86])])
    assert measured(predicted, labels, 2) == {"accuracy": 0.88, "confusion_matrix": matrix}
    assert measured([0], [2], 3)["confusion_matrix"] == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    axes = plots.confusion_matrix(Figure().subplots(), matrix, NAMES)
    drawn = {text.get_position(): text.get_text() for text in axes.texts}
    assert drawn == {(0, 0): "90", (1, 0): "10", (0, 1): "14", (1, 1): "86"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_predict_takes_bytes_and_unit_floats_alike():
    model, images = classifier.build_cnn(2, 24), stripes(5, 0)[0]
    np.testing.assert_array_equal(*(classifier.predict(model, given) for given in (images, images / np.float32(255))))


def test_colour_features_by_hand():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0] = (255, 64, 0)  # cell (3, 1, 0) -> 3*16 + 1*4 + 0 = 52
    features = classifier.colour_features(images)
    np.testing.assert_allclose(features[0, :3], [0.25, 64 / 255 / 4, 0])
    assert (features[0, 3 + 52], features[0, 3], features[0, 3:].sum(), features.shape) == (0.25, 0.75, 1, (1, 67))


def test_colour_baseline_sees_colour_and_nothing_else():
    images = np.random.default_rng(0).integers(0, 100, (60, 8, 8, 3), dtype=np.uint8)
    images[::2, ..., 0] += 60
    baseline = classifier.colour_baseline(images[:40], np.arange(40) % 2)
    assert baseline.score(images[40:], np.arange(40, 60) % 2) == 1.0
    shapes, labels = stripes(80, 5)
    assert classifier.colour_baseline(shapes[:40], labels[:40]).score(shapes[40:], labels[40:]) < 0.75


def test_training_learns_measures_and_can_be_loaded(runs, learned):
    shutil.copytree(learned[0], runs / "stripes")
    model, metrics, matrix = *learned[1:], np.array(learned[2]["confusion_matrix"])
    assert matrix.sum(1).tolist() == [6, 6] and np.trace(matrix) == 12 * metrics["accuracy"]
    assert json.loads((runs / "stripes" / "metrics.json").read_text()) == metrics
    assert metrics["seed"] == 1 and metrics["epochs"] == 25 and metrics["accuracy"] >= 0.9
    validation = metrics["history"]["validation_accuracy"]
    assert metrics["best_epoch"] == 1 + validation.index(max(validation))
    assert classifier.measure(model, *DATA.validation)["accuracy"] == max(validation)
    for name in ("runs/stripes", "stripes"):
        loaded, about = classifier.load_trained(name)
        np.testing.assert_equal(loaded.get_weights(), model.get_weights())
        assert about == metrics


def test_more_epochs_go_on_from_where_it_ended(runs):
    for run, epochs in (("long", 2), ("short", 1), ("short", 2)):
        train(run, epochs)
    rows = [[{**row, "seconds": 0} for row in history_of(runs / run)] for run in ("long", "short")]
    assert rows[0] == rows[1] and len(rows[0]) == 2
    one, two = ({**np.load(runs / run / "state.npz"), "about": None} for run in ("long", "short"))
    np.testing.assert_equal(one, two)


def test_another_seed_other_pictures_and_newer_weights_are_found_out(runs, learned):
    shutil.copytree(learned[0], runs / "mine")
    for other in ({"seed": 2}, {"seed": 1, "data": DATA._replace(train=stripes(30, 9))}):
        with pytest.raises(ValueError, match="another run name"):
            train("mine", epochs=26, **other)
    classifier.check_data(learned[2], DATA)
    with pytest.raises(ValueError, match="saw other pictures"):
        classifier.check_data(learned[2], DATA._replace(train=DATA.test, test=DATA.train))
    best = runs / "mine" / "best.weights.h5"
    best.write_bytes(best.read_bytes() + b"newer")  # trained further, and stopped before the end
    with pytest.raises(FileNotFoundError, match=r"mine was trained on since.*same command again"):
        classifier.load_trained("runs/mine")
    train("mine", epochs=25, seed=1)
    assert classifier.load_trained("runs/mine")


def test_a_damaged_training_says_what_to_do(runs, learned):
    shutil.copytree(learned[0], runs / "mine")
    best, about = runs / "mine" / "best.weights.h5", runs / "mine" / "metrics.json"
    about.write_bytes(about.read_bytes()[:100])
    with pytest.raises(OSError, match=r"metrics\.json is damaged.*same command again"):
        classifier.load_trained("runs/mine")
    train("mine", epochs=25, seed=1)
    assert classifier.load_trained("runs/mine")[1]["epochs"] == 25
    for damage in (lambda: best.write_bytes(best.read_bytes()[:500]), best.unlink):
        damage()
        with pytest.raises(ValueError, match=r"best\.weights\.h5 is missing or damaged: delete the folder"):
            train("mine", epochs=25, seed=1)


def test_shipped_weights_are_rounded_and_measured_as_rounded(runs, learned):
    shutil.copytree(learned[0], runs / "stripes")
    metrics = classifier.ship("stripes", DATA.test, "shipped")
    file = paths.WEIGHTS / "shipped.weights.h5"
    assert file.stat().st_size < 0.65 * (runs / "stripes" / "best.weights.h5").stat().st_size
    (loaded, about), (exact, _) = map(classifier.load_trained, ("shipped", "runs/stripes"))
    for rounded, weight in zip(loaded.get_weights(), exact.get_weights(), strict=True):
        assert rounded.dtype == np.float32
        np.testing.assert_allclose(rounded, weight, rtol=1e-3, atol=1e-7)
    assert about == metrics and about["weights"] == "float16"
    assert classifier.measure(loaded, *DATA.test)["accuracy"] == about["accuracy"]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(OSError, match="is damaged"):
        classifier.load_trained("shipped")


def test_missing_or_unfinished_training_says_what_to_do(runs):
    with pytest.raises(FileNotFoundError, match="make train"):
        classifier.load_trained("runs/none")
    for unnamed in ("", "runs", "runs/"):
        with pytest.raises(ValueError, match="expected a name"):
            classifier.run_folder(unnamed)
    (half := runs / "half").mkdir()
    (half / "best.weights.h5").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no finished training 'half'"):
        classifier.load_trained("half")


@pytest.mark.filterwarnings("ignore::UserWarning:keras.*")
def test_mixed_float16_trains_with_a_scaled_loss(runs):
    keras.config.set_dtype_policy("mixed_float16")
    _, metrics = train("half", data=DATA._replace(train=stripes(4, 1)))
    assert metrics["precision"] == "mixed_float16" and np.isfinite(metrics["history"]["loss"]).all()
    assert isinstance(training.scaled(keras.optimizers.SGD()), keras.optimizers.LossScaleOptimizer)
