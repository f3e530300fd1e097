"""Every test starts from the same random numbers, whatever ran before it; and what several files' tests begin with."""

import contextlib
import os
from unittest import mock

import fake_services as fake
import keras
import matplotlib.pyplot as plt
import networks
import numpy as np
import pytest
from keras import layers

from helpers import gcm, paths


@pytest.fixture(autouse=True)
def same_random_numbers():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def no_figure_and_no_precision_stays():
    yield
    plt.close("all")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def hand():
    return networks.hand_network()


@pytest.fixture(scope="module")
def model():
    return networks.make("sequential")


@pytest.fixture(scope="module", params=networks.EXPLAINERS)
def explain(request, model):
    return request.param(model)


@pytest.fixture
def cnn():
    """A small network ending in global average pooling, for which CAM is defined."""
    keras.utils.set_random_seed(1)
    convolutions = [layers.Conv2D(n, 3, activation="relu", name=name) for n, name in ((4, "first"), (6, "second"))]
    top = layers.Dense(2, bias_initializer="ones", activation="softmax", name="top")
    return networks.stack(*convolutions, layers.GlobalAveragePooling2D(), top)


@pytest.fixture
def short_encoder(monkeypatch):
    """GCM's has three of its ten rows."""
    monkeypatch.setattr(gcm.model, "ENCODER", [(16, 1), (32, 2), (64, 2)])


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """runs/ of a project that is empty."""
    for folder in ("RUNS", "WEIGHTS", "DATA"):
        (tmp_path / folder.lower()).mkdir()
        monkeypatch.setattr(paths, folder, tmp_path / folder.lower())
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def key():
    with mock.patch.dict(os.environ, fake.KEYS):
        yield


@pytest.fixture
def server(request):
    """The fake services with 60 photos, or as many as the test's module says in PHOTOS."""
    with contextlib.closing(fake.FakeServices(fake.ids(getattr(request.module, "PHOTOS", 60)))) as server:
        yield server
