"""Any Keras classifier, as the page of notebook 11 asks it: its pictures, classes, scaling and methods."""

from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps

from helpers import classifier, dishes, gcm, gradcam, guided, imagenet, paths, tracing
from helpers.comparison import networks as comparison_networks
from helpers.gcm import cifar10
from helpers.tracing.scores import Probabilities
from helpers.training import shipped as trained
from helpers.viewer import files
from helpers.viewer.scalings import BYTES, SCALINGS, UNIT, guess, takes_whole_numbers

SIZE = (224, 224)  # for networks that take pictures of any size
METHODS = {
    "Grad-CAM": gradcam.GradCAM,
    "Guided Grad-CAM": guided.GuidedGradCAM,
    "guided backpropagation": guided.GuidedBackprop,
    "deconvnet": guided.Deconvnet,
    "plain gradient": guided.Gradient,
}
CONTRIBUTION = "contribution map"
SHIPPED = {  # what it is called: (weights, how to load it)
    "ImageNet, 1,000 classes": (imagenet.NAME, lambda: _imagenet_network()),
    "kitchen CNN (the blog's)": ("kitchen_cnn", lambda: _of_training(classifier.SHIPPED)),
    "kitchen GCM (the paper's)": ("kitchen_gcm", lambda: _gcm(comparison_networks, "kitchen_gcm", dishes.LABELS, 160)),
    "CIFAR-10 GCM (the paper's)": ("gcm", lambda: _gcm(gcm, "gcm", cifar10.CLASSES, 32)),
}


@dataclass
class Network:
    """A classifier of pictures: its class names (None: they have numbers), its pictures' (H, W), channels and scaling.

    scaling: one of SCALINGS; guessed: why this one, where nobody said so. heads: where the model has several outputs,
    those that are classifiers, and their class names; head: the chosen one. Explainers are made when they are first
    asked for and kept.
    """

    model: keras.Model
    class_names: list | None = None
    size: tuple = SIZE
    channels: int = 3
    scaling: str = UNIT
    guessed: str = ""
    heads: dict = field(default_factory=dict)
    head: str | int | None = None
    _explainers: dict = field(default_factory=dict)

    @property
    def methods(self):
        """{name: explainer class} of what this network can be asked; a GCM's own maps come first."""
        if takes_whole_numbers(self.model):
            return {"Grad-CAM": gradcam.GradCAM}
        return {CONTRIBUTION: gcm.ContributionMaps, **METHODS} if isinstance(self.model, gcm.GCM) else METHODS

    def explainer(self, kind):
        """The explainer of that class for this network, and for its chosen head."""
        if (kind, self.head) not in self._explainers:
            options = {} if self.head is None else {"output": self.head}
            self._explainers[kind, self.head] = kind(self.model, **options)
        return self._explainers[kind, self.head]

    def choose_head(self, name):
        """Explain that one of `heads` from now on. Raises ValueError for others."""
        if name not in self.heads:
            there = ", ".join(map(str, self.heads)) if len(self.heads) > 1 else "only one"
            raise ValueError(f"output {name!r}: this network has {there}")
        self.head, self.class_names = name, self.heads[name]

    def pixels(self, image):
        """A picture as this network sees it, uint8 [H, W, channels]: its centre, cut to the network's proportions."""
        fitted = ImageOps.fit(image, self.size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(fitted if self.channels == 3 else fitted.convert("L")).reshape(*self.size, self.channels)

    def inputs(self, pixels):
        """Pixels as the model takes them, float32 [1, H, W, channels], scaled. ValueError for grey under BGR or RGB."""
        if self.channels != 3 and self.scaling.startswith(("BGR", "RGB")):
            advice = f"choose {UNIT} or what it was trained with"
            raise ValueError(f"pixels: {self.scaling!r} is for colours, and this network takes grey pictures: {advice}")
        return np.asarray(SCALINGS[self.scaling](pixels[None].astype(np.float32)), np.float32)

    def class_name(self, index):
        return self.class_names[index] if self.class_names else f"class {index}"


def shipped():
    """The names of the project's networks whose weights are there."""
    return [name for name, (weights, _) in SHIPPED.items() if trained.weights_file(weights).exists()]


def open_network(name, custom_objects=None):
    """The `Network` of that name: one of `shipped()`, "runs/<name>", or the path of a Keras model file.

    A file's classes are called as <file>.json beside it says under "class_names", for several outputs {output: names};
    without one they have numbers. custom_objects: for layers and functions of your own in a file, as in
    `open_network("mine.keras", custom_objects={"MyLayer": MyLayer})`.
    Raises ValueError and FileNotFoundError that say what to do.
    """
    if name in SHIPPED:
        return SHIPPED[name][1]()
    if Path(name).parts[:1] == (paths.RUNS.name,) and Path(name).suffix not in files.MODEL_FILES:
        return _of_training(name)
    return _of_file(*files.load(name, custom_objects))


def weights_of(name):
    """The file that holds the weights of the network that `open_network` opens by that name."""
    if name in SHIPPED:
        return trained.weights_file(SHIPPED[name][0])
    file = paths.given(name)
    return file if file.is_file() else classifier.run_folder(name) / "best.weights.h5"


def _imagenet_network():
    return Network(imagenet.load(), list(imagenet.LABELS), (imagenet.SIZE, imagenet.SIZE), scaling=BYTES)


def _of_training(name):
    model, metrics = classifier.load_trained(name)
    return Network(model, metrics["class_names"], (metrics["size"], metrics["size"]))


def _gcm(module, name, class_names, size):
    return Network(module.load_trained(name), list(class_names), (size, size))


def _of_file(model, file):
    height, width, channels = _picture_shape(model, file.name)
    network = Network(model, None, (height or SIZE[0], width or SIZE[1]), channels or 3)
    try:
        classes = _classes(network, np.zeros((1, *network.size, network.channels), np.float32))
    except Exception as error:  # whatever a foreign network's own code raises
        raise ValueError(f"{file.name} is not a picture classifier: {files.cause(error)}") from error
    network.heads = files.class_names(file.with_suffix(".json"), classes)
    network.choose_head(next(iter(network.heads)))
    network.scaling, network.guessed = guess(model, network.size, network.channels)
    return network


def _classes(network, pictures):
    """How many classes each head of a network has: {head: number}; the head of a model with one output is None."""
    outputs = tracing.named(network.model(pictures, training=False), getattr(network.model, "output_names", ()))
    heads = [name for name, output in outputs.items() if output.shape.rank == 2] if len(outputs) > 1 else [None]
    if not heads:
        raise ValueError(f"none of its outputs is [B, N]: {tracing.listed(outputs)}")
    classes = {}
    for head in heads:
        network.head = head  # its explainer is kept for the page
        classes[head] = network.explainer(Probabilities)(pictures).shape[1]
    return classes


def _picture_shape(model, name):
    """(H, W, channels) of the model's input, None where it takes any."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):  # a subclassed model's is that of its first call
        unsaid = None, None, None, getattr(model, "channels", None)
        shape = tuple((model.get_build_config() or {}).get("input_shape") or unsaid)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3, None):
        wanted = "expected one input [B, H, W, 3] (colour) or [B, H, W, 1] (grey)"
        raise ValueError(f"{name} takes {shape}, not pictures: {wanted}")
    return shape[1:]
