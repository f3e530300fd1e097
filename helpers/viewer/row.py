"""The blog's row of four of one's own photo: picture, scores, Grad-CAM, Guided Grad-CAM; its map and its recipe."""

import csv
import difflib
import importlib.metadata
import unicodedata

import matplotlib.pyplot as plt
import numpy as np

from helpers import gradcam, paths, plots
from helpers.photos import attributions
from helpers.tracing.relus import NoReLU
from helpers.viewer import networks, views
from helpers.viewer.saving import FOLDER, RESOLUTION, untaken

SHOWN = 4  # scores
TITLES = ("picture", "probabilities", "Grad-CAM", "Guided Grad-CAM")
VERSIONS = ("keras", "tensorflow", "numpy", "matplotlib")


def class_index(network, words):
    """The index of the class of that name, whatever its case; in a network without names, of that number.

    ValueError names the nearest ones.
    """
    if not network.class_names:
        if words.isdecimal():
            return int(words)
        raise ValueError(f"no class {words!r}: this network has no class names: give a number, from 0")
    if words in network.class_names:
        return network.class_names.index(words)
    names = {_plain(name): index for index, name in enumerate(network.class_names)}
    if _plain(words) in names:
        return names[_plain(words)]
    near = [name for name in names if _plain(words) in name]
    near = near or difflib.get_close_matches(_plain(words), names, n=5, cutoff=0.5)
    named = ", ".join(network.class_names[names[name]] for name in near[:5])
    raise ValueError(f"no class {words!r}: " + (f"did you mean {named}?" if near else "none has a similar name"))


def _plain(name):
    return unicodedata.normalize("NFC", name).casefold()


def read(path):
    """(The picture (PIL, RGB) at a path as a reader gives it, its credit where attributions.csv has one, its name).

    FileNotFoundError, ValueError where the picture or the list cannot be read.
    """
    file = paths.given(path)
    if not file.is_file():
        raise FileNotFoundError(f"no picture file {str(path)!r}: make row PICTURE=<path of a photo>")
    image = views.read_picture(file.read_bytes(), file.name)
    for folder in (file.parent, file.parent.parent):
        try:
            name = attributions.named(str(file.resolve()))
            listed = ((folder / row["file"], row) for row in attributions.read(folder))
            own = [row for other, row in listed if attributions.named(str(other.resolve())) == name]
            if own:
                return image, attributions.credit(own[0]["licence"], own[0]["creator"]), file.stem
        except (UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
            damaged = folder / attributions.ATTRIBUTIONS
            wanted = f"its first line has to be {attributions.LEAST}"
            raise ValueError(f"{damaged} is damaged: mend it ({wanted}) or remove it ({error!r})") from error
    return image, "", file.stem


def draw(network, image, index=None, credit=""):
    """(The row as a Figure, Grad-CAM [h, w], what it shows {"class", "score", ...}); index None: the likeliest class.

    A network without ReLUs has its plain gradient in place of Guided Grad-CAM. ValueError where it has no layer that
    Grad-CAM can explain, or takes whole numbers.
    """
    scores = views.probabilities(network, image)
    index = int(scores.argmax()) if index is None else index
    if not 0 <= index < len(scores):
        raise ValueError(f"no class {index}: this network has {len(scores)}, counted from 0")
    if missing := [method for method in TITLES[2:] if method not in network.methods]:
        raise ValueError(f"this network takes whole numbers, which have no gradient: no {', '.join(missing)} of it")
    seen, titles = views.look(network, image, TITLES[2], index), TITLES
    try:
        detail = views.look(network, image, TITLES[3], index)
    except NoReLU:  # as in today's networks with swish or GELU
        titles = (*TITLES[:3], "plain gradient")
        detail = views.look(network, image, titles[3], index)
    shown = list(dict.fromkeys([*np.argsort(-scores, kind="stable")[:SHOWN].tolist(), index]))
    figure, axes = plt.subplots(1, 4, figsize=(plots.WIDTH, 2.7))
    names = [network.class_name(one) for one in shown]
    plots.case_row(axes, seen.image, scores[shown], seen.raw, detail.raw, names, credit)
    axes[1].set_box_aspect(seen.image.shape[0] / seen.image.shape[1])  # as high as the pictures
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
    layer = network.explainer(gradcam.GradCAM).layer_path
    about = {"class": network.class_name(index), "index": index, "score": float(scores[index]), "layer": layer}
    about |= {"pixels": network.scaling, "output": network.head}
    words = f"A photo, its scores and two maps for {about['class']} ({about['score']:.0%}): {views.in_words(seen)}."
    return figure, seen.raw, {**about, "words": words}


def save(figure, raw, about, kind="png"):
    """Write saved/<picture>_<class>.png (or .svg), .npy (the raw map) and .json (`about`); returns the three paths.

    Where one of them is taken, all get a number.
    """
    FOLDER.mkdir(exist_ok=True)
    files = untaken(FOLDER, f"{about['picture']}_{about['class']}", f".{kind}", ".npy", ".json")
    words = {"Title": about["words"]} if kind == "svg" else {"Description": about["words"]}
    with paths.whole(files[0]) as part:
        figure.savefig(part, format=kind, dpi=RESOLUTION, metadata=words)
    with paths.whole(files[1]) as part:
        np.save(part, raw)
    paths.write_json(about, files[2])
    return files


def recipe(name):
    """What a row was made with: {"network": name, "weights": sha256 of its file, "versions": {package: version}}."""
    versions = {package: importlib.metadata.version(package) for package in VERSIONS}
    return {"network": name, "weights": paths.checksum(networks.weights_of(name)), "versions": versions}
