"""Notebook 10's networks: what their heads compute, and training that learns, repeats and shuffles labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import history_of

from helpers import bias, classifier, gradcam, training
from helpers.comparison import networks
from helpers.training import shipped


@pytest.fixture(scope="module")
def data():
    """Twelve small pictures, bright red or bright blue, too easy to fail."""
    labels, images = np.arange(12) % 2, np.random.default_rng(0).integers(0, 60, (12, 16, 16, 3), np.uint8)
    images[np.arange(12), :, :, 2 * labels] += 150
    return {split: (images, labels) for split in ("train", "validation", "test")}


def test_network_in_network_by_numbers():
    network = networks.build("kitchen_nin")
    kernels = [tuple(layer.kernel.shape) for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    wanted = "3 3 3 32, 1 1 32 32, 1 1 32 32, 3 3 32 64, 1 1 64 64, 1 1 64 64, 3 3 64 96, 1 1 96 96, 1 1 96 2"
    assert ", ".join(" ".join(map(str, kernel)) for kernel in kernels) == wanted
    images = np.random.default_rng(1).uniform(size=(3, 160, 160, 3)).astype(np.float32)
    maps = np.stack([gradcam.ClassMaps(network)(images, label) for label in (0, 1)], axis=-1)
    assert maps.shape == (3, 20, 20, 2)
    first, second = network(images).numpy().T
    np.testing.assert_allclose(np.exp(np.diff(maps.mean(axis=(1, 2))))[:, 0], second / first, rtol=1e-4)


@pytest.mark.parametrize("name", ["kitchen_gcm", "kitchen_nin"])
def test_training_learns_what_is_easy(name, data, tmp_path):
    network = networks.train(tmp_path, name, data, epochs=12, progress=False)
    assert networks.accuracy(network, name, data["test"]) == 1
    assert history_of(tmp_path)[-1]["learning_rate"] == pytest.approx(1e-5)


def test_it_does_not_go_on_with_other_pictures(data, tmp_path):
    networks.train(tmp_path, "kitchen_nin", data, epochs=1, progress=False)
    others = data | {"train": (255 - data["train"][0], *data["train"][1:])}
    with pytest.raises(ValueError, match="was trained by the recipe"):
        networks.train(tmp_path, "kitchen_nin", others, epochs=1, progress=False)


def test_the_twins_have_another_seed_or_the_same_labels_at_other_pictures(data, monkeypatch):
    seen, best = {}, []
    monkeypatch.setattr(
        training, "fit", lambda model, _, run, batches, *rest, **given: seen.update({run: (batches, given)})
    )
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path: best.append(path.parent.name))

    def first_kernel(name):
        return networks.train(name, name, data, epochs=1).trainable_variables[0].numpy()

    again = first_kernel("kitchen_cam_1")
    assert np.array_equal(again, first_kernel("kitchen_cam_1"))
    assert not np.array_equal(again, first_kernel("kitchen_cam"))
    first_kernel("kitchen_cam_shuffled")
    epoch, options = seen["kitchen_cam_shuffled"]
    ((images, labels),) = epoch(0)
    assert {*map(bytes, images.numpy())} == {*map(bytes, data["train"][0] / np.float32(255))}  # none is mirrored
    assert not options["keep_best"] and seen["kitchen_cam"][1]["keep_best"]
    assert best == ["kitchen_cam_1", "kitchen_cam_1", "kitchen_cam"]  # the shuffled one keeps its last weights
    shown = np.mean(images[..., 2], axis=(1, 2)) > np.mean(images[..., 0], axis=(1, 2))
    assert sorted(labels.numpy()) == sorted(data["train"][1])
    assert 0 < (shown != labels.numpy()).sum() < 12


def test_what_is_shipped_is_what_is_loaded(data, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="choose one of kitchen_gcm"):
        networks.build("gcm")
    monkeypatch.setattr(shipped.paths, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train_small\.py kitchen_nin"):
        networks.load_trained("kitchen_nin")
    network = networks.build("kitchen_cam")
    about = shipped.ship(network, "kitchen_cam", networks.about(network, "kitchen_cam", data, epochs=3))
    loaded = networks.load_trained("kitchen_cam")
    assert [one.tobytes() for one in loaded.get_weights()] == [one.tobytes() for one in network.get_weights()]
    assert about["test_accuracy"] == networks.accuracy(loaded, "kitchen_cam", data["test"])
    assert about["epochs"] == 3 and about["pictures"] == 12


def test_a_shuffled_twin_is_measured_on_the_labels_it_learned(data, monkeypatch):
    dealt = networks.training_labels("kitchen_cam_shuffled", data)
    by_heart = dict(zip(map(bytes, data["train"][0] / np.float32(255)), dealt, strict=True))

    def evaluate(network, batches, from_logits):
        ((images, labels),) = batches
        return {"accuracy": np.mean([by_heart[bytes(image)] for image in images.numpy()] == labels.numpy())}

    monkeypatch.setattr(training, "evaluate", evaluate)
    network = networks.build("kitchen_cam_shuffled")
    about = networks.about(network, "kitchen_cam_shuffled", data)
    assert about["train_accuracy"] == 1 and about["test_accuracy"] == np.mean(dealt == data["train"][1]) < 1


@pytest.mark.parametrize("network", [classifier.build_cnn(2, 24), bias.build_cnn(24), networks.network_in_network(2)])
def test_a_layers_output_leads_to_the_scores(network):
    """As Keras' own examples take networks apart."""
    layer = next(layer for layer in network.layers if "conv" in layer.name)
    apart = keras.Model(network.inputs[0], [layer.output, network.outputs[0]])
    with tf.GradientTape() as tape:
        maps, scores = apart(np.random.default_rng(0).random((1, 24, 24, 3), np.float32))
        one = scores[0, 0]
    assert np.abs(tape.gradient(one, maps)).max() > 0
