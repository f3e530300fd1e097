"""Seeds, device and precision: what this machine can do, chosen once at the top of a notebook."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def _native_stderr_closed():
    """TensorFlow's libraries greet on file descriptor 2 before their log level is read: not in a reader's notebook."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


with _native_stderr_closed():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()

MODES = ("load", "quick", "full")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def mode(default="load"):
    """The notebook's mode: the environment variable NOTEBOOK_MODE where it is set (the tests set it), else `default`.

    load: use the trained weights that come with the project. quick: train for a moment on little data.
    full: train by the source's own schedule. Raises ValueError for any other word.
    """
    chosen = os.environ.get("NOTEBOOK_MODE", default)
    if chosen not in MODES:
        raise ValueError(f"mode {chosen!r}: choose one of {', '.join(MODES)}")
    return chosen


def setup(seed=0, precision="auto"):
    """Seed Python, NumPy and TensorFlow, choose a precision, print one line about both. Returns the precision.

    precision: "auto", "float32", "mixed_bfloat16" or "mixed_float16"; the environment variable PRECISION overrides
    "auto". It becomes Keras' global dtype policy. GPU memory is taken as needed, not all at once.
    Raises ValueError for an unknown precision.
    """
    if precision == "auto":
        precision = os.environ.get("PRECISION", "auto")
    if precision != "auto" and precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}: choose auto, {', '.join(PRECISIONS)}")
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with contextlib.suppress(RuntimeError):  # the device is already in use: a second setup() in the same kernel
            tf.config.experimental.set_memory_growth(gpu, True)
    if precision == "auto":
        precision = fitting_precision(gpus)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    print(f"{_device_name(gpus)}, {precision}, seed {seed}, TensorFlow {tf.__version__}, Keras {keras.__version__}")
    return precision


def fitting_precision(gpus):
    """The fastest precision the hardware computes natively: GPU by compute capability, CPU by its bfloat16 units."""
    if not gpus:
        return "mixed_bfloat16" if "bf16" in _cpu_flags() else "float32"
    capability = min(tf.config.experimental.get_device_details(g).get("compute_capability", (0, 0)) for g in gpus)
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"


def _cpu_flags():
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text() if cpuinfo.exists() else ""


def _device_name(gpus):
    if not gpus:
        return f"CPU ({os.cpu_count()} cores)"
    names = [tf.config.experimental.get_device_details(g).get("device_name", "GPU") for g in gpus]
    return f"{len(gpus)} GPU ({', '.join(names)})"
