"""Grad-CAM of random networks equals a plain tape's: layers and operators, functional, nested and subclassed, each
precision. 30 networks by default; NETWORKS=1000 in the environment makes it so many, and `-s` shows the counts."""

import collections
import os

import keras
import networks
import numpy as np
import pytest
from random_networks import Network

from helpers.gradcam import GradCAM

NETWORKS = int(os.environ.get("NETWORKS", "30"))
POLICIES = ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"]


def compared(seed):
    """Network number `seed`: its kind, and how far its map is from the tape's, or the error."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    network = Network(seed)
    kind, model = network.model()
    kind += f", {len(network.heads)} of {network.structure.__name__}" if len(network.heads) > 1 else ""
    pictures = network.rng.normal(size=(2, *network.shape)).astype(np.float32)
    wanted, classes = network.wanted(pictures)
    try:
        maps = GradCAM(model, output=network.output(model))(pictures, classes)
    except ValueError as error:
        return kind, error
    return kind, np.abs(maps - wanted).max() / max(wanted.max(), 1e-6) if maps.shape == wanted.shape else np.inf


@pytest.mark.parametrize("policy", POLICIES)
def test_grad_cam_of_random_networks_is_the_tapes(policy):
    """To a thousandth of the map's maximum, or an error."""
    counts, wrong = collections.Counter(), []
    with networks.under(policy):
        for seed in range(POLICIES.index(policy), NETWORKS, len(POLICIES)):
            kind, gap = compared(seed)
            found = "error" if isinstance(gap, ValueError) else "equal" if gap <= 1e-3 else "other"
            counts[kind, found] += 1
            if found != "equal":
                wrong.append((seed, kind, gap))
    print(policy, *sorted(counts.items()), *wrong, sep="\n")
    assert not wrong
