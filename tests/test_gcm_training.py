"""Training GCM and its comparison on a handful of pictures: every variant runs, goes on, and can be shipped."""

import hashlib
import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import keras
import numpy as np
import pytest
from small_training import history_of

from helpers import gcm, paths, tracing, training
from helpers.gcm import cifar10
from helpers.gcm import training as gcm_training
from helpers.training import runs

DATA = cifar10.drawn(train=4, test=2)


def train(run, variant="gcm", data=DATA, epochs=1, batch_size=40, **options):
    return gcm_training.train(run, variant, data, epochs, batch_size=batch_size, progress=False, **options)


@pytest.mark.parametrize("variant", ["gcm", "cnn"])
def test_train_resume_ship_and_load(variant, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "weights")
    paths.WEIGHTS.mkdir()
    run = tmp_path / f"{variant}-1-seed0"
    with pytest.raises(FileNotFoundError, match="has not ended"):
        gcm_training.ship(run, DATA, variant)
    model, history = train(run, variant, batch_size=20)
    assert history_of(run) == history and history[0]["learning_rate"] == pytest.approx(0.1)
    about = gcm_training.ship(run, DATA, variant)
    shipped = (paths.WEIGHTS / f"{variant}.weights.h5").read_bytes()
    assert about["sha256"] == hashlib.sha256(shipped).hexdigest() and len(shipped) < 1e6
    low, high = about["test_interval"]
    assert about["test_images"] == 20 and 0 <= low <= about["test_accuracy"] <= high <= 1 and high - low > 0.15
    assert about["test_accuracy"] == history[-1]["validation_accuracy"] and about["data"].startswith("drawn")
    assert json.loads((paths.WEIGHTS / f"{variant}.json").read_text()) == about and "l2" not in about
    assert about["log"] == f"logs/{run.name}.csv"
    log = np.genfromtxt(paths.WEIGHTS / about["log"], delimiter=",", names=True, ndmin=1)
    assert log["validation_accuracy"][-1] == pytest.approx(about["test_accuracy"])
    images = DATA.test_images[:3] / np.float32(255)
    np.testing.assert_array_equal(gcm.load_trained(variant)(images), model(images))
    for other in ({"epochs": 2}, {"data": DATA._replace(train_images=255 - DATA.train_images)}, {"l2": 0.1}):
        with pytest.raises(ValueError, match="was trained by the recipe"):
            train(run, variant, **{"batch_size": 20, **other})


def test_the_recipe_is_that_of_table_2(tmp_path, monkeypatch):
    fit = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(training, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", epochs=180, batch_size=20)
    optimizer, rates = fit.call_args.args[1], fit.call_args.kwargs["learning_rate"]
    assert isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum == 0.9 and not optimizer.nesterov
    assert [rates(epoch) for epoch in (0, 99, 100, 149, 150, 179)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])
    layers = tracing.layer_paths(gcm.untrained("gcm")).values()
    kinds = {type(layer.kernel_initializer) for layer in layers if hasattr(layer, "kernel")}
    assert kinds == {keras.initializers.HeNormal}


def test_an_l2_penalty_takes_its_part_of_every_weight(tmp_path, short_encoder):
    """One step from the same weights: rate 0.1 x 0.05 of each is gone, and nothing else has changed."""
    keras.utils.set_random_seed(0)
    first = gcm.untrained("gcm").trainable_variables
    plain, smaller = (train(tmp_path / str(l2), l2=l2)[0].trainable_variables for l2 in (0.0, 0.05))
    for old, ours, theirs in zip(first, smaller, plain, strict=True):
        np.testing.assert_allclose(theirs - ours, 0.005 * old, rtol=1e-2, atol=2e-6, err_msg=old.path)
    assert json.loads((tmp_path / "0.05" / "metrics.json").read_text())["l2"] == 0.05


REFUSED = {"batch_size 0": {"batch_size": 0}, "0 training": {"data": DATA.first(train=0)}}
REFUSED |= {"0 test pictures": {"data": DATA.first(test=0)}}
TWO_DEVICES = SimpleNamespace(num_replicas_in_sync=2)
REFUSED |= {r"1 of 40 .*, fewer than there are devices \(2\)": {"batch_size": 39, "strategy": TWO_DEVICES}}


@pytest.mark.parametrize("message, options", REFUSED.items())
def test_what_cannot_be_trained_is_refused_before_it_begins(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


def write_black(folder, labels=(0, 1)):
    """CIFAR-10's files with black pictures of these labels each."""
    for file in (*cifar10.TRAIN_FILES, cifar10.TEST_FILE):
        (folder / file).write_bytes(b"".join(bytes([label]) + bytes(cifar10.RECORD - 1) for label in labels))


def train_gcm(*arguments):
    """The command `make train-gcm`."""
    runpy.run_path(str(paths.ROOT / "scripts" / "train_gcm.py"))["main"](["--precision", "float32", *arguments])


@pytest.mark.parametrize(
    "other", ["--epochs 2", "--variant cnn", "--l2 0.005", "--seed 1", "--batch-size 32", "--hold-out 5000", "--jpeg"]
)
def test_the_command_ships_nothing_under_another_networks_name(other):
    recipe = "--variant gcm --epochs 180 --seed 0 --l2 0.0002 --hold-out 0"
    with pytest.raises(SystemExit, match=re.escape(f"--ship gcm: that is for {recipe} alone")):
        train_gcm("--ship", "gcm", *recipe.split(), *other.split())


def test_the_command_ships_nothing_that_saw_other_pictures(tmp_path, monkeypatch):
    write_black(tmp_path, labels=10_000 * [0])  # as many as the originals
    for name, recipe in gcm.SHIPPED.items():
        with pytest.raises(SystemExit, match=f"--ship {name}: that is for the 50,000 original training pictures"):
            train_gcm("--ship", name, "--data", str(tmp_path), *recipe.options.split())
    black = cifar10.read_binary(tmp_path)
    monkeypatch.setattr(cifar10, "ORIGINALS", runs.digest(black.train_images, black.train_labels))
    with pytest.raises(SystemExit, match="that is for the 50,000 original training pictures"):
        few = "--train-images", "6"
        train_gcm("--ship", "gcm", "--data", str(tmp_path), *gcm.SHIPPED["gcm"].options.split(), *few)


def test_the_command_trains_and_says_where_everything_is(tmp_path, monkeypatch, capsys, short_encoder):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    write_black(tmp_path)
    held = ["--hold-out", "3", "--name", "held"], "held", ", the last 3 training pictures held out", 3, "held-out"
    jpeg = ["--jpeg", "--l2", "0.01"], "gcm-1-l2-0.01-seed0-jpeg", ", as JPEG copies", 2, "test"
    for options, name, part, tested, kind in (([], "gcm-1-seed0", "", 2, "test"), held, jpeg):
        train_gcm("--epochs", "1", "--data", str(tmp_path), "--train-images", "6", *options)
        history, printed = history_of(tmp_path / "runs" / name), capsys.readouterr().out
        source = f"CIFAR-10 binary files in {tmp_path.name}{part}"
        last = training.accuracy_text(history[0]["validation_accuracy"], tested)
        for said in (
            f"{source}: 6 training and {tested} test pictures; at 90 % ",
            training.summary(history[0]),
            f"last epoch: {last} {kind} pictures right",
            f"{name}\n",
        ):
            assert said in printed
        about = json.loads((tmp_path / "runs" / name / "metrics.json").read_text())
        assert about.items() >= {"train_images": 6, "batch_size": 128, "seed": 0, "data": source}.items()


def test_the_fast_twin_trains_as_the_comparison_cnn_does():
    plain, images, labels = gcm.untrained("cnn"), DATA.test_images / np.float32(255), DATA.test_labels
    twin = gcm_training.copy_weights(plain, gcm.comparison_cnn(10, widths=gcm_training.twin_widths()))
    before = twin.get_weights()
    optimizers = [keras.optimizers.SGD(0.01, momentum=0.9) for _ in range(2)]
    steps = [training.train_step(*pair, False, l2=0.01) for pair in zip((plain, twin), optimizers, strict=True)]
    for tolerance in (1e-6, 1e-3, 1e-3):
        losses = [float(step(images, labels)[0]) for step in steps]
        assert losses[1] == pytest.approx(losses[0], rel=tolerance)
    trained_alike = gcm_training.copy_weights(twin, gcm.untrained("cnn"))
    for ours, theirs in zip(trained_alike.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.1 * np.abs(theirs).max(), err_msg=ours.path)
    for variable, narrow, old in zip(twin.variables, plain.variables, before, strict=True):
        surplus = np.ones(variable.shape, bool)
        surplus[tuple(slice(size) for size in narrow.shape)] = False
        assert not np.asarray(variable)[surplus].any(), variable.path
        assert np.any(np.asarray(variable) != old), variable.path


@pytest.mark.parametrize(("precision", "second", "fifth"), [("float32", 24, 40), ("mixed_bfloat16", 32, 48)])
def test_the_twins_channels_fit_the_precision(precision, second, fifth):
    keras.config.set_dtype_policy(precision)
    assert gcm_training.twin_widths() == [16, *3 * [second], *3 * [fifth], 80, 80, 80]


def test_variants_are_what_they_are_called_and_only_the_cnn_has_a_twin():
    assert gcm.untrained("gcm-clipped").clip and gcm.untrained("gcm-separate").decoder == "separate"
    assert isinstance(gcm.untrained("cnn"), keras.Sequential) and gcm.untrained("cnn").built
    assert isinstance(gcm_training.fast_twin("gcm"), gcm.GCM)
    assert gcm_training.fast_twin("cnn").count_params() > gcm.untrained("cnn").count_params()


def train_paper(*arguments):
    """The command `make paper`."""
    runpy.run_path(str(paths.ROOT / "scripts" / "train_paper.py"))["main"](["--precision", "float32", *arguments])


def test_the_papers_experiment_resumes_and_ends_in_a_table(tmp_path, monkeypatch, capsys, short_encoder):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    write_black(tmp_path)
    command, original, begun = ["--data", str(tmp_path), "--epochs", "1", "--recipe", "found"], gcm_training.train, []

    def killed_at_the_cnn(run, variant, *rest, **options):
        if "probe" not in str(run) and (paths.RUNS / "paper-found-gcm-clipped-1" / "metrics.json").exists():
            raise KeyboardInterrupt
        return original(run, variant, *rest, **options)

    def noted(run, variant, data, epochs=180, **options):
        begun.append((variant, epochs, history_of(Path(run))))
        return original(run, variant, data, epochs, **options)

    monkeypatch.setattr(gcm_training, "train", killed_at_the_cnn)
    with pytest.raises(SystemExit, match="The same command goes on"):
        train_paper(*command)
    printed = capsys.readouterr().out
    assert "10 training and 2 test pictures" in printed and "this will take about 0" in printed
    assert not (paths.RUNS / "paper-found.md").exists()
    monkeypatch.setattr(gcm_training, "train", noted)
    train_paper(*command)
    probed, *trained = begun
    assert probed[:2] == ("cnn", 2), "what is finished needs no probe"
    assert [(variant, len(rows)) for variant, _, rows in trained] == [("gcm", 1), ("gcm-clipped", 1), ("cnn", 0)]
    table = (paths.RUNS / "paper-found.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out and "an L2 penalty of 2e-4, our inference, 1 epochs" in table
    for row in ("| gcm | ", "| gcm-clipped | ", "| cnn | 164,258 | 50.0 % of 2 (9.5 to 90.5 %) | "):
        assert row in table
    assert table.count("% of 10,000 |") == 3
    assert json.loads((paths.RUNS / "paper-found-cnn-1" / "metrics.json").read_text())["l2"] == 2e-4


def test_the_papers_experiment_is_not_done_on_a_stand_in(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "load", lambda folder: DATA)
    with pytest.raises(SystemExit, match="error: the paper's numbers are about CIFAR-10"):
        train_paper()
