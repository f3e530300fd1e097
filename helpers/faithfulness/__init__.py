"""Which explanation to believe: scores for any explainer, each from its definition. Derived in notebook 10.

An explainer is any callable `explain(images, classes)` that gives maps [B, h, w] or [B, H, W, C]. Every map becomes a
`saliency` before it is scored; no score depends on its scale.
"""

from helpers.faithfulness.imputation import road_curve
from helpers.faithfulness.localisation import (
    box_overlap,
    energy_inside_mask,
    energy_over_chance,
    pointing_game,
    times_chance,
)
from helpers.faithfulness.measuring import bootstrap_interval, completeness_gap, explain_all, time_in_forward_passes
from helpers.faithfulness.perturbation import (
    area,
    blurred,
    deletion_curve,
    drop_and_increase,
    insertion_curve,
    mean_colour,
)
from helpers.faithfulness.randomisation import label_randomisation, model_randomisation, sensitivity, spearman
from helpers.maps import saliency
from helpers.training.batches import predict_all
