"""The networks of the paper's experiments: GCM's variants, the comparison CNN, and the trained ones."""

import keras
from keras import layers

from helpers.gcm.model import ENCODER, GCM, block, checked_count
from helpers.training import shipped

CNN_WIDTHS = [16, 18, 18, 18, 37, 37, 37, 74, 74, 74]  # section 4.4: from layer 2 on 1.16 x the encoder, truncated
VARIANTS = {"gcm": lambda: GCM(10), "gcm-clipped": lambda: GCM(10, clip=True)}
VARIANTS |= {"gcm-separate": lambda: GCM(10, decoder="separate"), "cnn": lambda: comparison_cnn(10)}
SHIPPED = {name: (name, 60, 0.0, 0) for name in ("gcm", "gcm-clipped", "cnn")}  # variant, epochs, L2, held out
SHIPPED |= {"gcm-originals": ("gcm", 120, 2e-4, 5000)}  # 5,000 of the 50,000 training pictures are kept for the test
SHIPPED |= {"cnn-originals": ("cnn", 60, 2e-4, 5000)}


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

    "gcm", "gcm-clipped" and "cnn" were trained alike on JPEG copies, so that they can be compared. "gcm-originals" (120
    epochs) and "cnn-originals" (60) are more accurate: they learned from the original pictures, with an L2 penalty.
    Recipe, accuracy and checksum are in weights/README.md. It computes in Keras' global dtype policy. Raises ValueError
    for another name, FileNotFoundError where the weights are missing, OSError where the file is damaged.
    """
    if name not in SHIPPED:
        raise ValueError(f"network {name!r}: choose one of {', '.join(SHIPPED)}")
    variant, epochs, l2, held_out = SHIPPED[name]
    more = (f"--l2 {l2} " if l2 else "") + (f"--hold-out {held_out} " if held_out else "")
    command = f'make train-gcm VARIANT={variant} EPOCHS={epochs} ARGS="{more}--ship {name}"'
    return shipped.restore(untrained(variant), name, command)
