"""What the captions' and the answers' networks share: the small CNN that looks at the picture, and the training."""

import keras
from keras import layers

from helpers import training

FILTERS = (16, 32, 48, 48, 64)  # of the CNN's five convolutions
BATCH_SIZE, EPOCHS, LEARNING_RATE = 32, 18, 2e-3


def build_vision(size=96, units=128, filters=FILTERS):
    """The CNN: a picture [B, size, size, 3] in [0, 1] to a vector [B, units], untrained.

    Five convolutions, each with batch normalisation and ReLU: the first 5x5 in steps of two pixels, the others 3x3;
    2x2 pooling after the second and no more. So the last feature map, `relu5`, has a cell for every 4x4 pixels
    ([B, 24, 24, 64] at size 96), fine enough to tell a leaf from its neighbour. Its average and its maximum over space
    (what covers little still has a high maximum) go through a dense layer.
    """
    picture = inputs = keras.Input((size, size, 3), name="picture")
    for index, count in enumerate(filters, start=1):
        kernel, step = (5, 2) if index == 1 else (3, 1)
        picture = layers.Conv2D(count, kernel, step, padding="same", use_bias=False, name=f"conv{index}")(picture)
        picture = layers.BatchNormalization(momentum=0.9, name=f"norm{index}")(picture)
        picture = layers.ReLU(name=f"relu{index}")(picture)
        if index == 2:
            picture = layers.MaxPooling2D(name="pool2")(picture)
    pools = layers.GlobalAveragePooling2D(name="average"), layers.GlobalMaxPooling2D(name="maximum")
    pooled = layers.Concatenate(name="pooled")([pool(picture) for pool in pools])
    return keras.Model(inputs, layers.Dense(units, name="vector")(pooled), name="vision")


def fit(model, name, scenes, run, batches, epochs, progress):
    """Train on `scenes` pictures in the folder `run`, for `training.fit`, which resumes; returns the history.

    Adam, learning rate falling from LEARNING_RATE to 0 on a cosine.
    """
    recipe = {"network": name, "scenes": scenes, "epochs": epochs, "seed": 0, "batch_size": BATCH_SIZE}
    options = {"from_logits": True, "learning_rate": training.cosine_schedule(epochs, LEARNING_RATE)}
    options |= {"recipe": recipe, "progress": progress}
    return training.fit(model, keras.optimizers.Adam(), run, batches, epochs, **options)
