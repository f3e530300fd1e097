"""Files that the viewer opens: networks, pictures, class names; what fails is said."""

import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from fake_services import encoded
from keras import layers
from test_viewer import picture, saved, small_network, stack

from helpers import guided, viewer
from helpers.gradcam import GradCAM
from helpers.photos import pictures
from helpers.viewer import scalings


def test_class_names_lie_beside_the_file(tmp_path):
    file, names = saved(small_network(), tmp_path), tmp_path / "model.json"
    assert viewer.open_network(file).class_name(2) == "class 2"
    names.write_text(json.dumps({"class_names": ["cat", "dog", "bird"]}), encoding="utf-8-sig")
    assert viewer.open_network(file).class_name(2) == "bird"
    for text, complaint in (
        ('{"class_names": ["cat"]}', "expected 3 class_names"),
        ("[]", "expected {"),
        ("{", "expected {"),
    ):
        names.write_text(text)
        with pytest.raises(ValueError, match=f"model.json beside the model.*{complaint}"):
            viewer.open_network(file)


NO_PICTURES = {b"": "an empty file. Choose another", b"%PDF-1.7": "no picture", b"\x89PNG\r\n\x1a\nbad": "no picture"}
NO_PICTURES[encoded(picture(200, 200))[:2000]] = r"damaged.*Choose another file"
NO_PICTURES[b"\0\0\0\x18ftypheic" + bytes(90)] = "HEIC.* save it as JPEG"


@pytest.mark.parametrize(("data", "complaint"), NO_PICTURES.items(), ids=["empty", "PDF", "broken", "cut off", "HEIC"])
def test_files_that_are_no_pictures(data, complaint, monkeypatch):
    monkeypatch.setattr(pictures, "pillow_heif", None)
    with pytest.raises(ValueError, match=complaint):
        viewer.read_picture(data, "photo.jpg")


NOTHING_THERE = {
    "": "give runs/<name>, or the path of a .keras or .h5 file",
    "gone.keras": "no model file .*gone.keras",
}


NOTHING_THERE |= {"runs/never": "no finished training", "runs/never/model.keras": "no model file"}


NO_NETWORKS = {"model.txt": "not a .keras or .h5 file", "best.weights.h5": "holds weights without"}


NO_NETWORKS |= dict.fromkeys(["model.keras", "model.h5"], "cannot be read as a Keras model: it is damaged")


@pytest.mark.parametrize(("name", "complaint"), {**NOTHING_THERE, **NO_NETWORKS, "folder": "is a folder: save"}.items())
def test_files_that_are_no_networks(tmp_path, monkeypatch, name, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    if name in NO_NETWORKS:
        (tmp_path / name).write_bytes(b"words")
    with pytest.raises(FileNotFoundError if name in NOTHING_THERE else ValueError, match=complaint):
        viewer.open_network(name)


@pytest.mark.parametrize(
    ("saved_as", "named", "most", "complaint"),
    [
        ("a.keras", "b.h5", None, "it is a .keras file under another name; rename it"),
        ("a.h5", "b.keras", None, "it is an .h5 file under another name; rename it"),
        ("a.h5", "b.h5", 9000, "it is damaged, or of another kind; save it again"),
        ("a.keras", "b.keras", 9000, "it is damaged, or of another kind; save it again"),
    ],
)
def test_files_that_are_cut_short_or_named_otherwise(tmp_path, saved_as, named, most, complaint):
    content = Path(saved(small_network(), tmp_path, saved_as)).read_bytes()
    (tmp_path / named).write_bytes(content[:most])
    with pytest.raises(ValueError, match=f"{named} cannot be read as a Keras model: {complaint}$"):
        viewer.open_network(str(tmp_path / named))


def test_an_archive_that_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("saved_model.pb", b"")
    with pytest.raises(ValueError, match="it is damaged, or of another kind; save it again"):
        viewer.open_network(str(tmp_path / "model.keras"))


def test_a_network_of_whole_numbers_gets_them(tmp_path):
    inputs, image = keras.Input((8, 8, 3), dtype="uint8"), picture(8, 8)
    features = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(features)))
    network = viewer.open_network(saved(model, tmp_path))
    assert (network.scaling, network.guessed) == (scalings.BYTES, "its input, which takes whole numbers")
    assert list(network.methods) == ["Grad-CAM"]  # there is no gradient with respect to whole numbers
    wanted = GradCAM(model)(np.asarray(image)[None], 1)[0]
    np.testing.assert_allclose(viewer.look(network, image, "Grad-CAM", 1).raw, wanted, rtol=1e-5)


class Own(layers.Layer):
    def call(self, inputs):
        return inputs * 2


def doubled(inputs):
    return inputs * 2


@keras.saving.register_keras_serializable("kitchen")
class Registered(Own):
    pass


def edited(file, change, version=None):
    """Change the configuration in a model's file, and the version of Keras that it names."""
    if file.suffix == ".h5":
        with h5py.File(file, "r+") as content:
            content.attrs["model_config"] = change(content.attrs["model_config"])
            content.attrs["keras_version"] = version or content.attrs["keras_version"]
        return
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = change(parts["config.json"].decode()).encode()
    if version:
        parts["metadata.json"] = json.dumps({"keras_version": version}).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("kind", [".keras", ".h5"])
@pytest.mark.parametrize("own", [Own, Registered, doubled])
def test_a_file_with_own_layers_names_their_class_and_takes_it(tmp_path, kind, own):
    """What the message says to give is what helps, under the name by which the file knows the class."""
    layer = layers.Conv2D(3, 1, activation=own) if own is doubled else own()
    file = saved(small_network(before=[layer]), tmp_path, f"own{kind}")
    keras.saving.get_custom_objects().pop("kitchen>Registered", None)  # as in another program
    with pytest.raises(ValueError, match=rf"{own.__name__}'.*custom_objects=\{{\"([\w>]+)\": \.\.\.\}}") as refused:
        viewer.open_network(file)
    name = re.search(r'custom_objects=\{"(.*?)"', str(refused.value))[1]
    assert len(viewer.open_network(file, custom_objects={name: own}).model.layers) == 4
    assert "config" not in str(refused.value).partition("Give it")[0]


@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_a_file_of_another_keras_says_so_and_names_the_keyword(tmp_path, kind):
    model = small_network(before=[layers.DepthwiseConv2D(3, depth_multiplier=7)])
    known, unknown = '"depth_multiplier": 7', '"depth_multiplier": 7, "groups": 1'
    message = r"cannot be read as a Keras model: .*DepthwiseConv2D: .*'groups'"
    for version, advice in (("2.9.0", "open it with tf_keras"), ("99.1.0", "update it"), (None, "")):
        file = saved(model, tmp_path, f"old{kind}")
        edited(Path(file), lambda text: text.replace(known, unknown), version)
        with pytest.raises(ValueError, match=message) as refused:
            viewer.open_network(file)
        assert advice in str(refused.value) and (version is None) == ("was made with Keras" not in str(refused.value))
        assert (version or "") in str(refused.value) and len(str(refused.value)) < 500


class Failing(layers.Layer):
    def call(self, inputs):
        if inputs.shape[-1] == 3 and keras.ops.is_tensor(inputs) and inputs.shape[0] == 1:
            raise RuntimeError("the lens cap is on")
        return inputs


def test_why_a_foreign_layer_fails_is_said(tmp_path):
    file = saved(small_network(before=[Failing()]), tmp_path)
    with pytest.raises(ValueError, match=r"model.keras is not a picture classifier: the lens cap is on"):
        viewer.open_network(file, {"Failing": Failing})
    lambda_layer = saved(small_network(before=[layers.Lambda(lambda values: values * 2)]), tmp_path)
    with pytest.raises(ValueError, match=r"enable_unsafe_deserialization"):
        viewer.open_network(lambda_layer)


def test_a_network_with_several_outputs_shows_one_head_at_a_time(tmp_path):
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="relu")(inputs)
    features = layers.GlobalAveragePooling2D()(maps)
    age = layers.Dense(1, activation="sigmoid", name="a")(features)
    heads = {"species": layers.Dense(3, name="s")(features), "map": maps, "age": age}
    model, image = keras.Model(inputs, heads), picture(8, 8)
    file = saved(model, tmp_path)
    network = viewer.open_network(file)
    assert (list(network.heads), network.head, network.class_names) == (["age", "species"], "age", None)
    names = {"species": ["cat", "dog", "bird"], "age": ["young", "old"]}
    (tmp_path / "model.json").write_text(json.dumps({"class_names": names}))
    network, outputs = viewer.open_network(file), model(np.asarray(image, np.float32)[None] / 255)
    species, old = keras.ops.softmax(outputs["species"][0]), outputs["age"][0, 0]
    for head, method in (("age", guided.GuidedGradCAM), ("species", guided.Gradient), ("age", guided.Gradient)):
        network.choose_head(head)
        assert network.class_name(1) == {"age": "old", "species": "dog"}[head]
        wanted = species if head == "species" else [1 - old, old]
        np.testing.assert_allclose(viewer.probabilities(network, image), wanted, rtol=1e-4)
        name = next(name for name, kind in viewer.METHODS.items() if kind is method)
        direct = method(model, output=head)(np.asarray(image, np.float32)[None] / 255, 1)[0]
        np.testing.assert_allclose(viewer.look(network, image, name, 1).raw, direct, rtol=1e-4, atol=1e-7)
    (tmp_path / "model.json").write_text('{"class_names": ["cat", "dog", "bird"]}')
    with pytest.raises(ValueError, match="expected 2 class_names for its output 'age'"):
        viewer.open_network(file)


def two_inputs():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([first, second], layers.Dense(2)(layers.Flatten()(layers.Add()([first, second]))))


def test_networks_of_another_kind(tmp_path):
    others = {r"takes \(None, 7\), not pictures": stack(layers.Dense(2), shape=(7,)), "one input": two_inputs()}
    others |= {r"takes \(None, 8, 8, 2\), not pictures": small_network(shape=(8, 8, 2))}
    others |= {"not a picture classifier": stack(layers.Conv2D(2, 3))}
    for complaint, model in others.items():
        with pytest.raises(ValueError, match=complaint):
            viewer.open_network(saved(model, tmp_path))
