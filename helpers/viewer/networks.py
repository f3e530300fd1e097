"""Any Keras classifier, as the page of notebook 11 asks it: its pictures, classes, scaling and methods."""

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps

from helpers import class_map_networks, classifier, dishes, gcm, gradcam, guided, imagenet, paths, tracing
from helpers.gcm import cifar10
from helpers.tracing.explainer import Explainer, Found
from helpers.training import shipped as trained

SIZE = (224, 224)  # for networks that take pictures of any size
MODEL_FILES = (".keras", ".h5", ".hdf5")
UNIT = "[0, 1]"
BYTES = "0 to 255 (EfficientNet, ConvNeXt)"
_imagenet = keras.applications.imagenet_utils.preprocess_input
SCALINGS = {
    UNIT: lambda pixels: pixels / 255,
    "[-1, 1] (MobileNetV2, Inception, Xception)": lambda pixels: pixels / 127.5 - 1,
    BYTES: lambda pixels: pixels,
    "BGR minus mean (VGG, ResNet)": partial(_imagenet, mode="caffe"),
    "RGB, mean 0, deviation 1 (DenseNet)": partial(_imagenet, mode="torch"),
}
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
    "kitchen GCM (the paper's)": ("kitchen_gcm", lambda: _gcm(class_map_networks, "kitchen_gcm", dishes.LABELS, 160)),
    "CIFAR-10 GCM (the paper's)": ("gcm", lambda: _gcm(gcm, "gcm", cifar10.CLASSES, 32)),
}


class Probabilities(Explainer):
    """`explain(images)` -> class probabilities float32 [B, N], whatever the model's last activation is."""

    def _maps(self, inputs, classes):
        found = tracing.probabilities(tracing.trace(self.model, inputs).outputs, self._examples)
        return Found(found, found.shape[-1])


@dataclass
class Network:
    """A classifier of pictures: its class names (None: they have numbers), its pictures' (H, W), channels and scaling.

    scaling: one of SCALINGS. Explainers are made when they are first asked for and kept.
    """

    model: keras.Model
    class_names: list | None = None
    size: tuple = SIZE
    channels: int = 3
    scaling: str = UNIT
    _explainers: dict = field(default_factory=dict)

    @property
    def methods(self):
        """{name: explainer class} of what this network can be asked; a GCM's own maps come first."""
        return {CONTRIBUTION: gcm.ContributionMaps, **METHODS} if isinstance(self.model, gcm.GCM) else METHODS

    def explainer(self, kind):
        """The explainer of that class for this network."""
        if kind not in self._explainers:
            self._explainers[kind] = kind(self.model)
        return self._explainers[kind]

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


def open_network(name):
    """The `Network` of that name: one of `shipped()`, "runs/<name>", or the path of a Keras model file.

    A file's classes are called as <file>.json beside it says under "class_names"; without one they have numbers.
    Raises ValueError and FileNotFoundError that say what to do.
    """
    if name in SHIPPED:
        return SHIPPED[name][1]()
    if Path(name).parts[:1] == (paths.RUNS.name,) and Path(name).suffix not in MODEL_FILES:
        return _of_training(name)
    file = _model_file(name)
    try:
        model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises many kinds on foreign and damaged files; each becomes the reason
        raise ValueError(f"{file.name} cannot be read as a Keras model: {_first_line(error)}") from error
    return _of_file(model, file)


def _imagenet_network():
    return Network(imagenet.load(), list(imagenet.LABELS), (imagenet.SIZE, imagenet.SIZE), scaling=BYTES)


def _of_training(name):
    model, metrics = classifier.load_trained(name)
    return Network(model, metrics["class_names"], (metrics["size"], metrics["size"]))


def _gcm(room, name, class_names, size):
    return Network(room.load_trained(name), list(class_names), (size, size))


def _model_file(name):
    """The file meant by `name`, relative to the working directory or to the project."""
    file = paths.given(name)
    if not name or not file.exists():
        raise FileNotFoundError(f"no model file {name!r}: give the path of a .keras or .h5 file")
    if file.name.endswith(".weights.h5"):
        advice = 'save the whole one, model.save("name.keras"), or name a training of this project, runs/<name>'
        raise ValueError(f"{file.name} holds weights without their network: {advice}")
    if file.is_dir() or file.suffix.lower() not in MODEL_FILES:
        kind = "a folder" if file.is_dir() else "no .keras or .h5 file"
        raise ValueError(f'{file.name} is {kind}: save the network with model.save("name.keras") and give that file')
    return file


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:300]


def _of_file(model, file):
    height, width, channels = _picture_shape(model, file.name)
    network = Network(model, None, (height or SIZE[0], width or SIZE[1]), channels or 3)
    if any(isinstance(layer, keras.layers.Rescaling) for layer in tracing.layer_paths(model).values()):
        network.scaling = BYTES
    try:
        classes = network.explainer(Probabilities)(np.zeros((1, *network.size, network.channels), np.float32)).shape[1]
    except Exception as error:  # whatever a foreign network's own code raises
        raise ValueError(f"{file.name} is no classifier of pictures: {_first_line(error)}") from error
    network.class_names = _class_names(file.with_suffix(".json"), classes)
    return network


def _picture_shape(model, name):
    """(H, W, channels) of the model's input, None where it takes any."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):  # a subclassed model does not say
        return None, None, getattr(model, "channels", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3, None):
        wanted = "one input [B, H, W, 3] (colour) or [B, H, W, 1] (grey) is wanted"
        raise ValueError(f"{name} takes {shape}, no pictures: {wanted}")
    return shape[1:]


def _class_names(file, classes):
    if not file.exists():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))["class_names"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{file.name} beside the model: {{"class_names": [...]}} is wanted ({error!r})') from error
    if not isinstance(names, list) or len(names) != classes:
        raise ValueError(f"{file.name} beside the model: {classes} class_names are wanted, one for each class")
    return [str(name) for name in names]
