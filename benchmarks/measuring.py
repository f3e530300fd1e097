"""How every benchmark here measures time and memory."""

import statistics
import time
from pathlib import Path

import keras
import numpy as np


def seconds(functions, inputs, rounds):
    """Times {name: [rounds]} of {name: function}; one call of each in turn, so that a busy machine is busy for all."""
    times = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            keras.tree.map_structure(np.asarray, function(*inputs))
            times[name].append(time.perf_counter() - start)
    return {name: measured[1:] for name, measured in times.items()}  # the first call traces


def ratio(times, base):
    """The median of the rounds' ratios."""
    return statistics.median(np.divide(times, base))


def megabytes(field):
    """VmRSS, the memory in use, or VmHWM, its peak, of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
