"""Write tests/quantus.npz: what Quantus says about fixed maps. test_faithfulness.py compares ours with it.

Quantus is no dependency of this project. To make the file again, from the project's folder:

    python -m venv /tmp/quantus
    /tmp/quantus/bin/pip install quantus==0.6.0 -r requirements.txt
    PYTHONPATH=. /tmp/quantus/bin/python tests/make_quantus_fixture.py
"""

from importlib.metadata import version
from pathlib import Path

import keras
import networks
import numpy as np
import quantus
import tensorflow as tf
from keras import layers

SIZE, PICTURES = 16, 6


def localisation(rng):
    """Signed maps without ties, masks, and Quantus' two localisation scores of their magnitude."""
    maps = rng.normal(size=(40, SIZE, SIZE)).astype(np.float32)
    rows, columns = np.indices((SIZE, SIZE))
    centres, radii = rng.uniform(2, SIZE - 2, (40, 2, 1, 1)), rng.uniform(1.5, 8, (40, 1, 1))
    masks = np.hypot(rows - centres[:, 0], columns - centres[:, 1]) < radii
    found = {"maps": maps, "masks": masks}
    for name, metric in (("pointing_game", quantus.PointingGame), ("relevance_mass", quantus.RelevanceMassAccuracy)):
        given = maps[:, None], np.zeros(40, int), maps[:, None], masks[:, None]
        found[name] = np.array(metric(abs=True, disable_warnings=True)(None, *given, channel_first=True), float)
    return found


def randomisation(rng):
    """Quantus' parameter randomisation of a small network, with the maps that it compared."""
    keras.utils.set_random_seed(0)
    images = rng.uniform(size=(PICTURES, SIZE, SIZE, 3)).astype(np.float32)
    classes, seen = np.arange(PICTURES) % 3, []

    def gradient(model, inputs, targets, **_):
        with tf.GradientTape() as tape:
            # Quantus gives [B,H,W,C] at first and [B,C,H,W] later
            pixels = tf.convert_to_tensor(inputs if inputs.shape[-1] == 3 else np.moveaxis(inputs, 1, -1))
            tape.watch(pixels)
            scores = tf.gather(model(pixels), targets, axis=1, batch_dims=1)
        seen.append(tape.gradient(scores, pixels).numpy().sum(axis=-1))
        return seen[-1][:, None]

    first, second = (layers.Conv2D(n, 3, activation="relu", name=name) for n, name in ((4, "first"), (6, "second")))
    network = networks.stack(first, second, layers.Flatten(), layers.Dense(3, name="top"), shape=images.shape[1:])
    metric = quantus.MPRT(disable_warnings=True)
    scores = metric(network, images, classes, channel_first=False, explain_func=gradient)
    names = [name for name in scores if name != "original"]
    gradients = np.stack([seen[0], *seen[-len(names) :]])
    return {"layers": np.array(names), "gradients": gradients, "randomisation": np.array([scores[n] for n in names])}


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    found = {"version": version("quantus")} | localisation(rng) | randomisation(rng)
    np.savez_compressed(Path(__file__).with_name("quantus.npz"), **found)
