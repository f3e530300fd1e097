"""What an explanation costs, in forward passes of the same compiled network measured in the same run.

    python benchmarks/explainers.py [--network blog|imagenet] [--pictures 16] [--rounds 15] [--costly]

Prints median and fastest time of the blog's network at 160x160 or of EfficientNet-Lite0 at 224x224, of the CAM family
and the guided methods, and of the Grad-CAM loop of the Keras documentation (keras.io/examples/vision/grad_cam). Then
traces and memory. --costly: in their place the methods that ask for many passes by definition, and how many those are.
Other libraries: `peers.py`.
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
from helpers.blackbox import RISE, Occlusion, ScoreCAM
from helpers.classifier import build_cnn
from helpers.gradcam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.integrated import IntegratedGradients, Smooth

MASKS, STEPS, SAMPLES = 200, 32, 25
NETWORKS = {"blog": (build_cnn, "relu4"), "imagenet": (imagenet.load, "head_relu")}  # and the last feature map


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--network", choices=NETWORKS, default="blog")
    options.add_argument("--pictures", type=int, default=16)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--costly", action="store_true")
    chosen = options.parse_args()
    runtime.setup(seed=0, precision="float32")
    build, layer = NETWORKS[chosen.network]
    model = build()
    size = model.input_shape[1]
    pictures = contenders.pictures(chosen.pictures, size)
    functions = costly(model, layer) if chosen.costly else usual(model, layer)
    times = measuring.seconds({"forward pass": contenders.forward_pass(model), **functions}, [pictures], chosen.rounds)
    base = times["forward pass"]
    print(f"\n{chosen.pictures} pictures of {size}x{size}, {chosen.rounds} rounds\n")
    print(f"{'':36}{'median ms':>10}{'fastest ms':>12}{'passes':>9}{'of fastest':>12}")
    for name, own in times.items():
        milliseconds = f"{statistics.median(own) * 1e3:10.0f}{min(own) * 1e3:12.0f}"
        print(f"{name:36}{milliseconds}{measuring.ratio(own, base):9.2f}{min(own) / min(base):12.2f}")
    if not chosen.costly:
        for explain in (GradCAM(model), GuidedGradCAM(model)):
            report_memory(explain, pictures[:2])


def usual(model, layer):
    """{name: explain} of the methods that cost one to three passes, and of a loop that costs more."""
    kinds = {"Grad-CAM": GradCAM, "Grad-CAM++": GradCAMPlusPlus, "XGrad-CAM": XGradCAM, "HiResCAM": HiResCAM}
    kinds |= {"LayerCAM": LayerCAM, "Guided Grad-CAM": GuidedGradCAM, "guided backpropagation": GuidedBackprop}
    kinds |= {"deconvnet": Deconvnet, "plain gradient": Gradient}
    loop = contenders.keras_documentation_loop(model, layer)
    return {name: kind(model) for name, kind in kinds.items()} | {"Keras documentation's loop": loop}


def costly(model, layer):
    """{name and number of passes by definition: explain}; a gradient is about two passes."""
    channels = model.get_layer(layer).output.shape[-1]
    return {
        f"Integrated Gradients ({STEPS} gradients)": IntegratedGradients(model, steps=STEPS),
        f"SmoothGrad ({SAMPLES} gradients)": Smooth(Gradient(model), samples=SAMPLES),
        "occlusion (225)": Occlusion(model),
        f"RISE ({MASKS})": RISE(model, masks=MASKS),
        f"Score-CAM ({channels})": ScoreCAM(model),
    }


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
