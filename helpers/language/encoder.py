"""The small convolutional network that looks at a picture for the captions and for the answers."""

import keras
from keras import layers

FILTERS = (16, 32, 48, 48, 64)  # of its five convolutions


def build_vision(size=96, units=128, filters=FILTERS):
    """A picture [B, size, size, 3] in [0, 1] to a vector [B, units], untrained.

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
    pooled = layers.Concatenate(name="pooled")(
        [layers.GlobalAveragePooling2D(name="average")(picture), layers.GlobalMaxPooling2D(name="maximum")(picture)]
    )
    return keras.Model(inputs, layers.Dense(units, name="vector")(pooled), name="vision")
