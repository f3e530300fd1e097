"""What an explanation costs, in forward passes of the same compiled network measured in the same run.

    python benchmarks/explainers.py [--pictures 16] [--rounds 15]

Prints median and fastest time of the blog's network at 160x160, Grad-CAM and the guided methods, and the Grad-CAM loop
of the Keras documentation (keras.io/examples/vision/grad_cam). Then traces and memory. Other libraries: `peers.py`.
"""

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: I001  first: it quietens TensorFlow

import contenders
import numpy as np

from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM


def everything(model):
    """{name: function of the pictures}, the compiled forward pass first."""
    return {
        "forward pass": contenders.forward_pass(model),
        "Grad-CAM": GradCAM(model),
        "Guided Grad-CAM": GuidedGradCAM(model),
        "guided backpropagation": GuidedBackprop(model),
        "deconvnet": Deconvnet(model),
        "plain gradient": Gradient(model),
        "Keras documentation's loop": contenders.keras_documentation_loop(model, "relu4"),
    }


def seconds(functions, pictures, rounds):
    """Times [rounds] of each function; one call of each in turn, so that a busy machine is busy for all of them."""
    times = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function(pictures)
            times[name].append(time.perf_counter() - start)
    return {name: measured[1:] for name, measured in times.items()}  # the first call traces


def resident_megabytes():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=16)
    options.add_argument("--rounds", type=int, default=15)
    chosen = options.parse_args()
    runtime.setup(seed=0, precision="float32")
    model = build_cnn()
    pictures = contenders.pictures(chosen.pictures, 160)
    functions = everything(model)
    times = seconds(functions, pictures, chosen.rounds)
    base = times["forward pass"]
    print(f"\n{chosen.pictures} pictures of 160x160, {chosen.rounds} rounds\n")
    print(f"{'':28}{'median ms':>10}{'fastest ms':>12}{'passes':>9}{'of fastest':>12}")
    for name, measured in times.items():
        print(
            f"{name:28}{statistics.median(measured) * 1e3:10.0f}{min(measured) * 1e3:12.0f}"
            f"{statistics.median(np.divide(measured, base)):9.2f}{min(measured) / min(base):12.2f}"
        )
    report_memory(model, pictures[:2])


def report_memory(model, pictures):
    """100 calls with changing classes after 10: growth of the process's memory, and graphs made."""
    for explain in (GradCAM(model), GuidedGradCAM(model)):
        for i in range(10):
            explain(pictures, i % 2)
        before = resident_megabytes()
        for i in range(100):
            explain(pictures, [i % 2, 1])
        growth = resident_megabytes() - before
        print(f"{type(explain).__name__}: {growth:+.1f} MB over 100 calls, {explain.traces} trace")


if __name__ == "__main__":
    main()
