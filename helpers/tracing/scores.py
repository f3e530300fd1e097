"""What the explainers explain, as numbers, and the model's inputs with another picture in them."""

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.explainer import Explainer, Found
from helpers.tracing.inputs import as_inputs
from helpers.tracing.outputs import logits, probabilities


class Scores(Explainer):
    """`scores = Scores(model)`, then `scores(images)`: the logits, float32 [B, N]; of an own score [B, 1].

    score, output, input: as for `GradCAM`.
    """

    def _maps(self, inputs, classes):
        traced, score, num_classes = self._traced_score(inputs, classes)
        return Found(score[:, None] if self.score else logits(traced.outputs, self._examples), num_classes)

    def pixels(self, images):
        """The picture among the model's inputs, float32 [B, H, W, C]. Raises ValueError as the explainers do."""
        return tf.cast(self._picture(as_inputs(self.model, images)), tf.float32).numpy()

    def with_pixels(self, images, pixels):
        """The model's inputs with other pictures [n, H, W, C], rounded where it takes whole numbers.

        Each picture's further inputs are repeated for n / B of them in turn.
        """
        inputs = as_inputs(self.model, images)
        own = self._picture(inputs)

        def replaced(leaf):
            if leaf is own:
                return pixels if own.dtype.is_floating else tf.saturate_cast(tf.round(pixels), own.dtype)
            return tf.repeat(leaf, len(pixels) // len(leaf), axis=0)

        return keras.tree.map_structure(replaced, inputs)


class Probabilities(Scores):
    """`probabilities(images)`: the class probabilities, float32 [B, N], whatever the model's last activation is."""

    def _maps(self, inputs, classes):
        found = probabilities(self._trace(inputs).outputs, self._examples)
        return Found(found, found.shape[-1])


def scored(scores, images, classes=None):
    """What `scores` gives, [B, N], and the class to explain for each picture, int [B]: `classes`, or those predicted; 0
    for an own score. Raises ValueError as the explainers do."""
    found = scores(images, classes)
    return found, np.broadcast_to(found.argmax(axis=-1) if classes is None else classes, len(found))
