"""The networks of the paper's experiments: GCM's variants, the comparison CNN, and the trained ones."""

from typing import NamedTuple

import keras
from keras import layers

from helpers.gcm.model import ENCODER, GCM, block, checked_count
from helpers.training import shipped

CNN_WIDTHS = [16, 18, 18, 18, 37, 37, 37, 74, 74, 74]  # section 4.4: from layer 2 on 1.16 x the encoder, truncated
VARIANTS = {"gcm": lambda: GCM(10), "gcm-clipped": lambda: GCM(10, clip=True)}
VARIANTS |= {"gcm-separate": lambda: GCM(10, decoder="separate"), "cnn": lambda: comparison_cnn(10)}
L2, HELD_OUT = 2e-4, 5_000  # the penalty found, and how many of the 50,000 training pictures tested it


class Recipe(NamedTuple):
    """How a shipped network was trained, besides the paper's Table 2 and the penalty `L2`."""

    variant: str
    epochs: int
    seed: int
    jpeg: bool = False  # on JPEG copies of the pictures
    hold_out: int = HELD_OUT

    @property
    def options(self):
        """The options of scripts/train_gcm.py that make this network."""
        said = f"--variant {self.variant} --epochs {self.epochs} --seed {self.seed} --l2 {L2}"
        return f"{said} --hold-out {self.hold_out}" + (" --jpeg" if self.jpeg else "")


SHIPPED = {
    "gcm": Recipe("gcm", 180, 0, hold_out=0),
    "gcm-60": Recipe("gcm", 60, 1),
    "gcm-clipped": Recipe("gcm-clipped", 60, 0),
    "cnn": Recipe("cnn", 60, 0),
    "gcm-jpeg": Recipe("gcm", 60, 1, jpeg=True),
}


def comparison_cnn(num_classes, mean=(0.4914, 0.4822, 0.4465), widths=CNN_WIDTHS):
    """The CNN of section 4.4: the encoder 1.16 times as wide from layer 2 on, GAP, dense, softmax.

    Images [B,H,W,3] in [0,1] -> probabilities [B,num_classes], float32; 164,258 parameters for ten classes.
    Centring ("the CNN alone gets centred pixels") is its first layer: `mean` is the training set's mean colour.
    widths: channels of layers 1 to 10. Raises ValueError for less than one class.
    """
    strides = [stride for _, stride in ENCODER]
    blocks = [block(*row) for row in zip(range(1, 11), widths, strides, strict=True)]
    centring = layers.Normalization(mean=mean, variance=(1.0, 1.0, 1.0), dtype="float32", name="centring")
    dense = layers.Dense(checked_count(num_classes), name="dense")
    softmax = layers.Activation("softmax", dtype="float32", name="softmax")
    row = [centring, *blocks, layers.GlobalAveragePooling2D(name="gap"), dense, softmax]
    return keras.Sequential([keras.Input((None, None, 3)), *row], name="comparison_cnn")


def untrained(name):
    """A fresh network of `VARIANTS` for CIFAR-10, built for 32x32 RGB pictures. Raises ValueError for another name."""
    if name not in VARIANTS:
        raise ValueError(f"network {name!r}: choose one of {', '.join(VARIANTS)}")
    model = VARIANTS[name]()
    if not model.built:
        model.build((None, 32, 32, 3))
    return model


def load_trained(name):
    """A network trained on CIFAR-10 that comes with the project; name: one of `SHIPPED`.

    "gcm" learned from all 50,000 pictures (180 epochs, as the paper's). "gcm-60", "gcm-clipped" and "cnn" were trained
    alike on 45,000 (60 epochs), so that they can be compared; "gcm-jpeg" is "gcm-60" trained on JPEG copies. Recipe,
    accuracy and checksum are in weights/README.md. It computes in Keras' global dtype policy. Raises ValueError for
    another name, FileNotFoundError where the weights are missing, OSError where the file is damaged.
    """
    if name not in SHIPPED:
        raise ValueError(f"network {name!r}: choose one of {', '.join(SHIPPED)}")
    recipe = SHIPPED[name]
    return shipped.restore(untrained(recipe.variant), name, f'make train-gcm ARGS="{recipe.options} --ship {name}"')
