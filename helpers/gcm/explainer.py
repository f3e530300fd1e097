"""GCM's maps by the explainers' contract."""

import tensorflow as tf
from keras import ops

from helpers.gcm.model import GCM, class_scores
from helpers.tracing.explainer import Explainer, Found, chosen_or_predicted


class ContributionMaps(Explainer):
    """GCM's maps by the explainers' contract: `explain(images, classes=None)` -> float32 [B,H,W].

    A map is the Class Contribution Map averaged over the colour channels, so its mean over height and width is the
    class's score: raw, signed, at the picture's own resolution.
    part: "whole", or "positive" for the evidence for the class (zero elsewhere; the upper rows of Figure 6).
    Raises ValueError for another part, TypeError for a model that is no GCM; otherwise as `Explainer`.
    """

    def __init__(self, model, part="whole"):
        if not isinstance(model, GCM):
            raise TypeError(f"model: {type(model).__name__}; expected a GCM: only it makes contribution maps")
        if part not in ("whole", "positive"):
            raise ValueError(f'part {part!r}: choose "whole" or "positive"')
        super().__init__(model)
        self.part = part

    def _maps(self, inputs, classes):
        weights = self.model.weight_maps(inputs)
        chosen = chosen_or_predicted(class_scores(weights, inputs), classes)
        maps = tf.gather(weights, chosen, axis=-1, batch_dims=1) * ops.mean(inputs, axis=-1)
        return Found(ops.relu(maps) if self.part == "positive" else maps, self.model.num_classes)
