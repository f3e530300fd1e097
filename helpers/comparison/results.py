"""The scores of notebook 10, kept: one file a network while they are computed, weights/comparison.npz in the end."""

import hashlib
import json
from pathlib import Path

import numpy as np

from helpers import paths

FILE = paths.WEIGHTS / "comparison.npz"


class Kept:
    """Arrays by (method, score) in an .npz file, written after each method, so that a killed run goes on there.

    about: what they come from, as `describe` was told.
    """

    def __init__(self, file):
        self.file, self.arrays, self.about = Path(file), {}, {}
        if self.file.exists():
            with np.load(self.file) as stored:
                self.arrays = {tuple(key.split("|")): stored[key] for key in stored if key != "about"}
                self.about = json.loads(str(stored["about"]))

    def describe(self, about):
        """Say what the arrays come from: {"sha256": of the network's weights, ...}. ValueError if they have others."""
        if self.about.get("sha256", about["sha256"]) != about["sha256"]:
            raise ValueError(f"{self.file} holds scores of other weights; delete it to score these")
        self.about = about

    def __setitem__(self, key, values):
        self.arrays[key] = np.asarray(values, np.float32)

    def once(self, method, score, compute):
        """The array of that name, from compute() where it is not there yet."""
        if (method, score) not in self.arrays:
            self[method, score] = compute()
            self._write()
        return self.arrays[method, score]

    def scores(self, method, compute):
        """All scores of a method, from compute() -> {score: array} where none is there yet."""
        if not any(own == method for own, score in self.arrays if score != "maps"):
            self.arrays |= {(method, score): np.asarray(values, np.float32) for score, values in compute().items()}
            self._write()

    def _write(self):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        about = np.array(json.dumps(self.about))
        with paths.whole(self.file) as part:
            np.savez_compressed(part, about=about, **{"|".join(key): values for key, values in self.arrays.items()})


def pack(files, target=FILE):
    """Write the files {network: path} as one, and beside it what they are made from; returns that description."""
    kept = {network: Kept(file) for network, file in files.items()}
    arrays = {"|".join((network, *key)): values for network, own in kept.items() for key, values in own.arrays.items()}
    arrays = {key: values for key, values in arrays.items() if not key.endswith("|maps")}
    with paths.whole(target) as part:
        np.savez_compressed(part, **arrays)
    networks = {network: own.about for network, own in kept.items()}
    about = {"file": target.name, "made by": "python scripts/compare_methods.py", "networks": networks}
    about["sha256"] = paths.checksum(target)
    paths.write_json(about, target.with_suffix(".json"))
    return about


def load(file=FILE):
    """{(network, method, score): float32 array}. OSError where the file is not the one that its .json describes."""
    if paths.checksum(file) != json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]:
        raise OSError(f"{paths.relative(file)} is damaged: fetch it again (git checkout -- weights)")
    with np.load(file) as stored:
        return {tuple(key.split("|")): stored[key] for key in stored}


def of_weights(model):
    """The sha256 of a network's weights as they lie in memory."""
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
