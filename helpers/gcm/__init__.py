"""Generative Contribution Mappings, the paper's network, its variants and their training."""

from helpers.gcm.explainer import ContributionMaps
from helpers.gcm.model import ENCODER, GCM, class_scores
from helpers.gcm.variants import CNN_WIDTHS, HELD_OUT, L2, SHIPPED, VARIANTS, comparison_cnn, load_trained, untrained
