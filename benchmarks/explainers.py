"""What an explanation costs, in forward passes of the same compiled network measured in the same run.

    python benchmarks/explainers.py [--network blog|imagenet] [--pictures 16] [--rounds 15]

Prints median and fastest time of the blog's network at 160x160 or of EfficientNet-Lite0 at 224x224, of Grad-CAM and
the guided methods, and of the Grad-CAM loop of the Keras documentation (keras.io/examples/vision/grad_cam). Then traces
and memory. Other libraries: `peers.py`.
"""

import argparse
import gc
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: I001  first: it quietens TensorFlow

import contenders
import measuring

from helpers import imagenet
from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM

NETWORKS = {"blog": (build_cnn, "relu4"), "imagenet": (imagenet.load, "head_relu")}  # and the last feature map


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--network", choices=NETWORKS, default="blog")
    options.add_argument("--pictures", type=int, default=16)
    options.add_argument("--rounds", type=int, default=15)
    chosen = options.parse_args()
    runtime.setup(seed=0, precision="float32")
    build, layer = NETWORKS[chosen.network]
    model = build()
    size = model.input_shape[1]
    pictures = contenders.pictures(chosen.pictures, size)
    functions = {
        "forward pass": contenders.forward_pass(model),
        "Grad-CAM": GradCAM(model),
        "Guided Grad-CAM": GuidedGradCAM(model),
        "guided backpropagation": GuidedBackprop(model),
        "deconvnet": Deconvnet(model),
        "plain gradient": Gradient(model),
        "Keras documentation's loop": contenders.keras_documentation_loop(model, layer),
    }
    times = measuring.seconds(functions, [pictures], chosen.rounds)
    base = times["forward pass"]
    print(f"\n{chosen.pictures} pictures of {size}x{size}, {chosen.rounds} rounds\n")
    print(f"{'':28}{'median ms':>10}{'fastest ms':>12}{'passes':>9}{'of fastest':>12}")
    for name, own in times.items():
        milliseconds = f"{statistics.median(own) * 1e3:10.0f}{min(own) * 1e3:12.0f}"
        print(f"{name:28}{milliseconds}{measuring.ratio(own, base):9.2f}{min(own) / min(base):12.2f}")
    for explain in (GradCAM(model), GuidedGradCAM(model)):
        report_memory(explain, pictures[:2])


def report_memory(explain, pictures):
    """100 calls with changing classes after 10: growth of the process's memory, and graphs made."""
    in_use = []
    for calls in (10, 100):
        for i in range(calls):
            explain(pictures, i % 2)
        gc.collect()
        in_use.append(measuring.megabytes("VmRSS"))
    print(f"{type(explain).__name__}: {in_use[1] - in_use[0]:+.1f} MB over 100 calls, {explain.traces} trace")


if __name__ == "__main__":
    main()
