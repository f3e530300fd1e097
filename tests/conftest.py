"""Every test starts from the same random numbers, whatever ran before it."""

import keras
import pytest


@pytest.fixture(autouse=True)
def same_random_numbers():
    keras.utils.set_random_seed(0)
