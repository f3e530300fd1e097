"""The trained networks that come along: what is claimed of them holds."""

import numpy as np
import pytest
from test_gcm import pictures
from test_gcm_model import refused

from helpers import gcm, paths, training
from helpers.gcm import cifar10
from helpers.training import batches, shipped

# --- The trained networks --------------------------------------------------------------------------------------------


def test_load_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    refused("choose one of gcm, gcm-60, gcm-clipped, cnn, gcm-jpeg", gcm.load_trained, "resnet")
    command = 'ARGS="--variant gcm --epochs 60 --seed 1 --l2 0.0002 --hold-out 5000 --jpeg --ship gcm-jpeg"'
    refused(command, gcm.load_trained, "gcm-jpeg", error=FileNotFoundError)
    for name, recipe in gcm.SHIPPED.items():
        model, images, file = gcm.untrained(recipe.variant), pictures(1, 32, 32, 3), tmp_path / f"{name}.weights.h5"
        model.save_weights(file)
        assert file.stat().st_size < 1e6
        np.testing.assert_array_equal(gcm.load_trained(name)(images), model(images))
        file.write_bytes(b"not a file of weights")
        refused(None, gcm.load_trained, name, error=OSError)


@pytest.fixture(scope="module")
def thousand():
    """A thousand test pictures of CIFAR-10, uint8, and their labels."""
    data = cifar10.load()
    if not data.is_real:
        pytest.skip("CIFAR-10 is not here: " + cifar10.HOW_TO_GET_IT)
    return data.test_images[:1000], data.test_labels[:1000], data.source


def test_the_official_pictures_are_known_as_the_originals():
    data = cifar10.load()
    if not data.is_real or "jpeg" in data.source:
        pytest.skip("the original pictures of CIFAR-10 are not here")
    assert data.are_originals and not data.first(train=49_999).are_originals


@pytest.mark.parametrize("name", gcm.SHIPPED)
def test_claimed_accuracy_on_a_thousand_test_pictures(name, thousand):
    images, labels, source = thousand
    if "jpeg" in source:
        pytest.skip("a network that learned from the originals is far less accurate on their copies (notebook 09)")
    seen = (cifar10.jpeg_copies(images) if name == "gcm-jpeg" else images) / np.float32(255)
    accuracy = np.mean(batches.predict_all(gcm.load_trained(name), seen, 250).argmax(axis=1) == labels)
    assert abs(accuracy - shipped.known(name)["test_accuracy"]) < 0.03  # three standard errors of 1,000 pictures


def test_the_model_card_says_what_is_known_of_the_network():
    card, about = (paths.WEIGHTS / "gcm.md").read_text(encoding="utf-8"), shipped.known("gcm")
    count = sum(int(np.prod(variable.shape)) for variable in gcm.untrained("gcm").trainable_variables)
    log = np.genfromtxt(paths.WEIGHTS / about["log"], delimiter=",", names=True)
    for said in (
        training.accuracy_text(about["test_accuracy"], about["test_images"]),
        f"{count:,} parameters",
        f"{about['epochs']} epochs; L2 penalty: {about['l2']}; seed {about['seed']}",
        f"{about['train_images']:,} training pictures of CIFAR-10, the originals",
        f"{100 * log[-1]['accuracy']:.1f} % right in the last epoch",
        f"`{about['log']}`",
    ):
        assert said in card, said


def test_the_shipped_networks_were_trained_alike():
    alike, pictures = [], set()
    for name, recipe in gcm.SHIPPED.items():
        about = shipped.known(name)
        assert (about["variant"], about["epochs"], about["seed"]) == recipe[:3]
        assert (about["l2"], about["train_images"]) == (gcm.L2, 50_000 - recipe.hold_out)
        assert about["data"].endswith(", as JPEG copies") == recipe.jpeg
        alike.append((about["batch_size"], about["precision"]))
        pictures |= {about["pictures"]} if recipe.hold_out and not recipe.jpeg else set()
        log = np.genfromtxt(paths.WEIGHTS / about["log"], delimiter=",", names=True)
        assert len(log) == recipe.epochs and abs(log[-1]["validation_accuracy"] - about["test_accuracy"]) < 0.002
    assert len(set(alike)) == len(pictures) == 1
    assert gcm.SHIPPED["gcm-jpeg"] == gcm.SHIPPED["gcm-60"]._replace(jpeg=True)
