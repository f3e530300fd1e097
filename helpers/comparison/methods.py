"""The methods that notebook 10 compares: shares of a score give their positive part, gradients count by magnitude."""

import numpy as np

from helpers import gcm
from helpers.blackbox import RISE, Occlusion, ScoreCAM
from helpers.faithfulness import controls
from helpers.gradcam import ClassMaps, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.integrated import GradientTimesInput, IntegratedGradients, Smooth

CONTROLS = {
    "blob": controls.centred_blob,
    "edges": controls.edge_detector,
    "brightness": controls.brightness,
    "random": controls.random_map,
}
COLOURS = {  # one for each method: the CAM family red, guided ones purple, gradients blue, black boxes green
    "Grad-CAM": "#b2182b",
    "Grad-CAM++": "#d6604d",
    "LayerCAM": "#e08214",
    "Score-CAM": "#b35806",
    "Guided Grad-CAM": "#762a83",
    "guided backprop.": "#9970ab",
    "deconvnet": "#c51b7d",
    "gradient": "#2166ac",
    "SmoothGrad": "#4393c3",
    "gradient × input": "#35778f",
    "Integrated Gradients": "#053061",
    "occlusion": "#1b7837",
    "RISE": "#5aae61",
}
COSTLY = ("Score-CAM", "Integrated Gradients", "SmoothGrad", "occlusion", "RISE")  # 25 forward passes and more a map


def evidence(explain):
    """Of a map that is signed the part for the class, [B, h, w]: summed over the colours, zero where it is negative."""

    def explained(images, classes):
        maps = explain(images, classes)
        return np.maximum(maps.sum(axis=-1) if maps.ndim == 4 else maps, 0)

    return explained


def above_median(explain):
    """Of a map that is high everywhere what exceeds its median, [B, h, w]."""

    def explained(images, classes):
        maps = explain(images, classes)
        return np.maximum(maps - np.median(maps, axis=(1, 2), keepdims=True), 0)

    return explained


def all_methods(model, quick, window=20):
    """{name: explain}: every method that is defined on a network with global average pooling and a dense layer.

    There CAM's positive part, XGrad-CAM's and HiResCAM's are Grad-CAM's map, so it stands for all four. quick: the
    same network, perhaps in half precision, for RISE, whose 500 masks cost most. window: of occlusion, in pixels.
    """
    return {
        "Grad-CAM": GradCAM(model),
        "Grad-CAM++": GradCAMPlusPlus(model),
        "LayerCAM": LayerCAM(model),
        "Score-CAM": ScoreCAM(model),
        "Guided Grad-CAM": GuidedGradCAM(model),
        "guided backprop.": GuidedBackprop(model),
        "deconvnet": Deconvnet(model),
        "gradient": Gradient(model),
        "SmoothGrad": Smooth(Gradient(model)),
        "gradient × input": evidence(GradientTimesInput(model)),
        "Integrated Gradients": evidence(IntegratedGradients(model)),
        "occlusion": evidence(Occlusion(model, size=window, stride=window)),
        "RISE": above_median(RISE(quick, masks=500)),
    }


def gcm_methods(model, quick):
    """{name: explain} of GCM: the part of its map for the class, and the whole map by magnitude."""
    return {"GCM, positive": gcm.ContributionMaps(model, "positive"), "GCM, whole": gcm.ContributionMaps(model)}


def nin_methods(model, quick):
    """{name: explain} of a Network in Network, whose Grad-CAM is its class map's positive part."""
    return {"class map": evidence(ClassMaps(model)), "Guided Grad-CAM": GuidedGradCAM(model)}


def cnn_methods(model, quick):
    """{name: explain} of the blog's CNN, on which the class activation maps differ, for dense layers follow."""
    return {
        "Grad-CAM": GradCAM(model),
        "HiResCAM": evidence(HiResCAM(model)),
        "LayerCAM": LayerCAM(model),
        "Guided Grad-CAM": GuidedGradCAM(model),
        "guided backprop.": GuidedBackprop(model),
    }
