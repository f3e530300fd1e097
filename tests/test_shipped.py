"""Weights that come with the project: written whole or not at all, found again, and clear when they are not there."""

import hashlib

import keras
import numpy as np
import pytest

from helpers import paths
from helpers.training import shipped as trained


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    return tmp_path


def network(units=2):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def test_what_is_shipped_is_restored_and_described(folder):
    shipped = network()
    about = trained.ship(shipped, "tiny", {"epochs": 3, "names": ["お好み焼き", "undecodable \udcff"]})
    assert about == trained.known("tiny")
    assert about["sha256"] == hashlib.sha256((folder / "tiny.weights.h5").read_bytes()).hexdigest()
    assert about["epochs"] == 3 and about["names"][0] == "お好み焼き"
    restored = trained.restore(network(), "tiny", "make tiny")
    np.testing.assert_array_equal(restored.get_weights()[0], shipped.get_weights()[0])
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.weights.h5"]


def test_weights_are_described_anew_and_what_cannot_be_written_leaves_them(folder):
    shipped = trained.ship(network(), "tiny", {"accuracy": 0.5})
    before = (folder / "tiny.weights.h5").read_bytes()
    assert trained.describe("tiny", {"accuracy": 0.6}) == trained.known("tiny") == {**shipped, "accuracy": 0.6}
    assert (folder / "tiny.weights.h5").read_bytes() == before

    class Broken:
        def save_weights(self, path):
            path.write_bytes(b"half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        trained.ship(Broken(), "tiny", {})
    assert (folder / "tiny.weights.h5").read_bytes() == before


def test_faults_say_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match=r"weights/tiny\.weights\.h5 is not there.*make tiny"):
        trained.restore(network(), "tiny", "make tiny")
    trained.ship(network(), "tiny", {})
    with pytest.raises(ValueError):
        trained.restore(network(units=5), "tiny", "make tiny")
    whole = (folder / "tiny.weights.h5").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (bytes(flipped), whole[:100], b"not a file of weights"):
        (folder / "tiny.weights.h5").write_bytes(damaged)
        with pytest.raises(OSError, match=r"weights/tiny\.weights\.h5 is damaged.*git checkout"):
            trained.restore(network(), "tiny", "make tiny")
    (folder / "tiny.json").unlink()
    with pytest.raises(OSError, match=r"weights/tiny\.weights\.h5 is damaged.*git checkout"):
        trained.restore(network(), "tiny", "make tiny")
    for damaged in (b"", b'{"sha256": "39be', b"\xff\xfe"):
        (folder / "tiny.json").write_bytes(damaged)
        with pytest.raises(OSError, match=r"/tiny\.json is damaged.*git checkout"):
            trained.restore(network(), "tiny", "make tiny")
