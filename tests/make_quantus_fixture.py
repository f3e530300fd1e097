"""Write tests/quantus.npz: what Quantus says about fixed maps. test_faithfulness.py compares ours with it.

Quantus is no dependency of this project. To make the file again, from the project's folder:

    python -m venv /tmp/quantus
    /tmp/quantus/bin/pip install quantus==0.6.0 -r requirements.txt
    PYTHONPATH=. /tmp/quantus/bin/python tests/make_quantus_fixture.py
"""

from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import quantus
import tensorflow as tf

SIZE, PICTURES = 16, 6
QUIET = {"disable_warnings": True}


def localisation(rng):
    """Signed maps without ties, masks, and Quantus' two localisation scores of their magnitude."""
    maps = rng.normal(size=(40, SIZE, SIZE)).astype(np.float32)
    rows, columns = np.indices((SIZE, SIZE))
    centres, radii = rng.uniform(2, SIZE - 2, (40, 2, 1, 1)), rng.uniform(1.5, 8, (40, 1, 1))
    masks = np.hypot(rows - centres[:, 0], columns - centres[:, 1]) < radii
    given = {
        "model": None,
        "x_batch": maps[:, None],
        "y_batch": np.zeros(40, int),
        "a_batch": maps[:, None],
        "s_batch": masks[:, None],
        "channel_first": True,
    }
    return {
        "maps": maps,
        "masks": masks,
        "pointing_game": np.array(quantus.PointingGame(abs=True, **QUIET)(**given), float),
        "relevance_mass": np.array(quantus.RelevanceMassAccuracy(abs=True, **QUIET)(**given), float),
    }


def small_cnn():
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.Conv2D(6, 3, activation="relu", name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="top"),
        ]
    )


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

    scores = quantus.MPRT(**QUIET)(small_cnn(), images, classes, channel_first=False, explain_func=gradient)
    layers = [name for name in scores if name != "original"]
    return {
        "layers": np.array(layers),
        "gradients": np.stack([seen[0], *seen[-len(layers) :]]),
        "randomisation": np.array([scores[name] for name in layers]),
    }


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    np.savez_compressed(
        Path(__file__).with_name("quantus.npz"), version=version("quantus"), **localisation(rng), **randomisation(rng)
    )
