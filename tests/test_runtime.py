import random

import keras
import numpy as np
import pytest

from helpers import runtime


def test_mode_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("NOTEBOOK_MODE", "full")
    assert runtime.mode("load") == "full"
    monkeypatch.delenv("NOTEBOOK_MODE")
    assert runtime.mode() == "load"
    with pytest.raises(ValueError, match="load, quick, full"):
        runtime.mode("fast")


def test_setup_seeds_everything_and_says_so(capsys):
    def draws():
        runtime.setup(seed=3, precision="float32")
        return random.random(), np.random.rand(), float(keras.random.uniform(()))  # noqa: NPY002 (setup seeds it too)

    assert draws() == draws()
    assert "float32, seed 3" in capsys.readouterr().out


def test_precision_can_be_overridden(monkeypatch):
    monkeypatch.setenv("PRECISION", "mixed_bfloat16")
    assert runtime.setup() == "mixed_bfloat16" == keras.config.dtype_policy().name
    assert runtime.setup(precision="float32") == "float32"
    with pytest.raises(ValueError, match="mixed_float16"):
        runtime.setup(precision="half")


def test_precision_fits_the_hardware(monkeypatch):
    capabilities = {"volta": (7, 0), "ampere": (8, 0), "pascal": (6, 1)}
    details = {name: {"compute_capability": capability} for name, capability in capabilities.items()}
    monkeypatch.setattr(runtime.tf.config.experimental, "get_device_details", details.get)
    assert runtime.fitting_precision(["ampere"]) == "mixed_bfloat16"
    assert runtime.fitting_precision(["volta"]) == runtime.fitting_precision(["ampere", "volta"]) == "mixed_float16"
    assert runtime.fitting_precision(["ampere", "pascal"]) == "float32"
    for flags, precision in (("sse avx512_bf16", "mixed_bfloat16"), ("sse avx2", "float32")):
        monkeypatch.setattr(runtime, "_cpu_flags", lambda flags=flags: flags)
        assert runtime.fitting_precision([]) == precision
