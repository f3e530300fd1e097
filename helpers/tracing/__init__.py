"""How a Keras model is looked into: what every layer gives, the last feature map, the logits, other ReLU rules."""

from helpers.tracing.choices import listed, named
from helpers.tracing.explainer import Explainer
from helpers.tracing.feature_maps import feature_map, pooled_feature_map
from helpers.tracing.outputs import both_classes, logits, probabilities
from helpers.tracing.places import in_places, place
from helpers.tracing.recording import Trace, find_layer, gradient, layer_paths, trace
from helpers.tracing.relus import SwappedReLUs
