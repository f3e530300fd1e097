"""Scores for any `explain(images, classes)`, each from its definition; see notebook 10."""

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
    occlusion_correlation,
)
from helpers.faithfulness.randomisation import label_randomisation, model_randomisation, sensitivity, spearman
from helpers.maps import saliency
from helpers.training.batches import predict_all
