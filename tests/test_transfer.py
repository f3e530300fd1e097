"""The blog's task by today's practice: one new layer on the frozen network, from the shell, killed, and explained."""

import functools
import json
import runpy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from helpers import classifier, dishes, paths
from helpers.gradcam import CAM, GradCAM
from helpers.imagenet import transfer
from helpers.viewer import networks

SCRIPT = str(paths.ROOT / "scripts" / "train_classifier.py")
LIMIT = 120  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty drawn pictures in two class folders."""
    root = tmp_path_factory.mktemp("photos")
    for name in dishes.LABELS:
        (root / name).mkdir()
        for seed in range(15):
            Image.fromarray(dishes.render(name, seed=seed).image).save(root / name / f"{seed}.png")
    return root


def arguments(folder, run, epochs):
    """For runs of that name: an absolute path is taken as it is."""
    options = {"--photos": folder, "--network": "imagenet", "--name": run, "--epochs": epochs}
    return [str(word) for option in options.items() for word in option] + ["--counts", "5", "5", "5"]


def train(folder, run, epochs):
    runpy.run_path(SCRIPT)["main"](arguments(folder, run, epochs))
    with np.load(run / "state.npz") as state:
        return {name: state[name] for name in state.files if name != "about"}


def test_make_train_with_the_imagenet_network_survives_kill_9_and_is_explained(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transfer.imagenet, "load", functools.cache(transfer.imagenet.load))  # frozen: read once for all
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process, started = subprocess.Popen([sys.executable, SCRIPT, *arguments(folder, killed, 100_000)]), time.monotonic()
    while not (killed / "log.csv").exists():
        assert process.poll() is None and time.monotonic() - started < LIMIT
        time.sleep(0.05)
    process.kill()
    assert process.wait(LIMIT) == -signal.SIGKILL
    with pytest.raises(FileNotFoundError, match="no finished training"):
        classifier.load_trained(killed)
    done = len((killed / "log.csv").read_text(encoding="utf-8").splitlines())
    states = [train(folder, run, done + 10) for run in (killed, whole)]
    for name, array in states[1].items():
        np.testing.assert_array_equal(states[0][name], array, err_msg=name)
    metrics = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["network"] == "imagenet" and metrics["size"] == 224 and metrics["pictures"] == [10, 10, 10]
    assert f"{100 * metrics['accuracy']:.1f} % of {metrics['pictures'][2]} (" in capsys.readouterr().out
    model, about = classifier.load_trained(whole)
    data, _ = classifier.photo_data(folder, (5, 5, 5), about["seed"], about["size"])
    classifier.check_data(about, data)
    probabilities = classifier.predict(model, data.test[0])
    head = model.get_layer("head")
    np.testing.assert_allclose(probabilities, head(transfer.features(data.test[0])), atol=1e-5)
    assert np.mean(probabilities.argmax(1) == data.test[1]) == about["accuracy"]
    assert head.count_params() == 2 * 1281 and not model.get_layer("backbone").trainable

    pictures, explain = data.test[0][:2] / np.float32(255), GradCAM(model)
    heat, signed = explain(pictures), CAM(model)(pictures)
    assert explain.layer_path == "backbone/head_relu"
    np.testing.assert_allclose(49 * heat, np.maximum(signed, 0), atol=1e-4 * np.abs(signed).max())
    opened = networks._of_training(whole)
    assert opened.size == (224, 224) and opened.class_names == list(dishes.LABELS)


def test_pictures_of_another_size_are_resized_and_a_plain_call_is_no_training():
    images = np.stack([dishes.render("pizza", seed=seed, size=96).image for seed in range(3)])
    model = transfer.build(2, 96)
    scaled = images / np.float32(255)
    np.testing.assert_allclose(model(scaled), model.get_layer("head")(transfer.features(images)), atol=1e-5)
    assert GradCAM(model)(scaled).shape == (3, 7, 7)


def test_features_of_other_arrays_are_refused():
    pixels = np.zeros((2, 50, 50, 3), np.uint8)
    for bad in (pixels / np.float32(255), pixels[0], pixels[..., :1]):
        with pytest.raises(ValueError, match=r"images: .*expected uint8 \[N, H, W, 3\] from 0 to 255"):
            transfer.features(bad)


def test_what_cannot_be_done_is_said(folder, tmp_path):
    data, _ = classifier.photo_data(folder, (5, 5, 5))
    with pytest.raises(ValueError, match="network 'resnet': choose one of blog, imagenet"):
        classifier.train(tmp_path / "run", data, network="resnet")
    assert not list(tmp_path.iterdir())
