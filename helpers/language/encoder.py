"""What the captions' and the answers' networks share: the small CNN that looks at the picture, and the training."""

import keras
from keras import layers

from helpers import training
from helpers.training import runs

FILTERS, KERNELS = (16, 32, 48, 48, 64), (5, 3, 3, 3, 1)  # of the CNN's five convolutions
RARE = 2.0  # standard deviations above its mean, below which a channel of the last feature map is zero
BATCH_SIZE, EPOCHS, LEARNING_RATE = 32, 10, 2e-3


def build_vision(size=96, units=128, filters=FILTERS, rare=RARE):
    """The CNN: a picture [B, size, size, 3] in [0, 1] to a vector [B, units], untrained.

    Five convolutions, each with batch normalisation and ReLU: the first in steps of two pixels, 2x2 pooling after the
    second and no more. So the last feature map, `relu5`, has a cell for every 4x4 pixels ([B, 24, 24, 64] at size 96),
    fine enough to tell a leaf from its neighbour; a cell sees 27x27 pixels. Its channels are normalised and lowered by
    `rare`, so that they are zero at most places, and a map made of them marks few places. Their maximum
    over space goes through a dense layer: what covers little has a high one, too.
    """
    picture = inputs = keras.Input((size, size, 3), name="picture")
    for index, (count, kernel) in enumerate(zip(filters, KERNELS, strict=True), start=1):
        last = index == len(KERNELS)
        step = 2 if index == 1 else 1
        picture = layers.Conv2D(count, kernel, step, padding="same", use_bias=False, name=f"conv{index}")(picture)
        learned = {"center": not last, "scale": not last}
        picture = layers.BatchNormalization(momentum=0.9, **learned, name=f"norm{index}")(picture)
        if last:
            picture = layers.Rescaling(1.0, -rare, name="rare")(picture)
        picture = layers.ReLU(name=f"relu{index}")(picture)
        if index == 2:
            picture = layers.MaxPooling2D(name="pool2")(picture)
    seen = layers.GlobalMaxPooling2D(name="maximum")(picture)
    return keras.Model(inputs, layers.Dense(units, name="vector")(seen), name="vision")


def fit(model, name, data, run, batches, epochs, progress):
    """Train on `data`, arrays [N, ...], in the folder `run`, for `training.fit`, which resumes; returns the history.

    batches: those of an epoch, made from `data`. Adam, learning rate falling from LEARNING_RATE to 0 on a cosine.
    """
    keras.utils.set_random_seed(0)
    recipe = {"network": name, "epochs": epochs, "seed": 0, "batch_size": BATCH_SIZE}
    recipe |= {"scenes": len(data[0]), "data": runs.digest(*data)}
    options = {"from_logits": True, "learning_rate": training.cosine_schedule(epochs, LEARNING_RATE)}
    options |= {"recipe": recipe, "progress": progress}
    return training.fit(model, keras.optimizers.Adam(), run, batches, epochs, **options)
