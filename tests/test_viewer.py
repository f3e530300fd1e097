"""The page of notebook 11 without a browser: the helpers' maps, an overlay by arithmetic, errors as text."""

import datetime
import io
import json
import re
import threading
import time
import zipfile
from pathlib import Path

import h5py
import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from helpers import classifier, dishes, gcm, guided, imagenet, paths, plots, viewer
from helpers.gradcam import GradCAM
from helpers.photos import builtin
from helpers.viewer import controls, gallery, networks, page, saving, scalings, views

BLOG = "kitchen CNN (the blog's)"
DISH = dishes.render("pizza", seed=1).image


def picture(width=40, height=30):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def encoded(image, kind="png"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def stack(*chain, shape=(8, 8, 3)):
    return keras.Sequential([keras.Input(shape), *chain])


def small_network(activation="softmax", classes=3, shape=(24, 16, 3), before=()):
    scores = layers.Dense(classes, activation=activation)
    return stack(*before, layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), scores, shape=shape)


def saved(model, folder, name="model.keras"):
    model.save(folder / name)
    return str(folder / name)


@pytest.fixture(scope="module")
def blog():
    return viewer.open_network(BLOG)


@pytest.fixture(scope="module")
def shown():
    begun = page.Page()
    begun.network.value = BLOG
    return begun


@pytest.mark.parametrize("method", viewer.METHODS)
def test_every_method_gives_the_helpers_map(blog, method):
    model, about = classifier.load_trained()
    view = viewer.look(blog, Image.fromarray(DISH), method, 1)
    np.testing.assert_array_equal(view.image, DISH)
    direct = viewer.METHODS[method](model)(DISH[None].astype("float32") / 255, 1)[0]
    tolerance = 0 if method == "Grad-CAM" else 1e-4
    np.testing.assert_allclose(view.raw, direct, rtol=tolerance, atol=0.1 * tolerance * np.abs(direct).max())
    assert view.colours.shape == (160, 160, 3) and view.colours.min() >= 0 and view.colours.max() <= 1
    assert blog.class_names == about["class_names"]
    scores = classifier.predict(model, DISH[None])[0]
    np.testing.assert_allclose(viewer.probabilities(blog, Image.fromarray(DISH)), scores, rtol=1e-5)


@pytest.mark.parametrize("case", ["softmax 3", "sigmoid 3", "linear 3", "sigmoid 1", "linear 1"])
def test_probabilities_whatever_the_last_activation_is(tmp_path, case):
    activation, classes = case.split()
    model, image = small_network(activation, int(classes)), picture(16, 24)
    found = viewer.probabilities(viewer.open_network(saved(model, tmp_path)), image)
    outputs = model(np.asarray(image, np.float32)[None] / 255).numpy()[0]
    if activation == "linear":
        outputs = 1 / (1 + np.exp(-outputs)) if classes == "1" else np.exp(outputs) / np.exp(outputs).sum()
    np.testing.assert_allclose(found, [1 - outputs[0], outputs[0]] if classes == "1" else outputs, rtol=1e-4)


def test_a_gcm_offers_its_contribution_maps_first(tmp_path):
    model = gcm.GCM(3)
    model(np.zeros((1, 32, 32, 3), np.float32))
    network, image = viewer.open_network(saved(model, tmp_path)), picture(224, 224)
    assert next(iter(network.methods)) == viewer.CONTRIBUTION and network.size == (224, 224)
    wanted = gcm.ContributionMaps(model)(np.asarray(image, np.float32)[None] / 255, 2)[0]
    np.testing.assert_allclose(viewer.look(network, image, viewer.CONTRIBUTION, 2).raw, wanted, rtol=1e-4, atol=1e-6)
    assert all(np.isfinite(viewer.look(network, picture(), method).raw).all() for method in network.methods)


def test_the_middle_of_the_picture_in_the_networks_size(tmp_path):
    network = viewer.open_network(saved(small_network(), tmp_path))
    striped = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[:, None], (24, 48, 3))
    assert network.size == (24, 16)
    np.testing.assert_array_equal(network.pixels(Image.fromarray(striped.copy())), striped[:, 16:32])  # middle third


def test_grey_networks_get_grey_pictures(tmp_path):
    network = viewer.open_network(saved(small_network(shape=(24, 16, 1)), tmp_path, "model.h5"))
    view = viewer.look(network, picture(), "guided backpropagation", 0)
    assert network.pixels(picture()).shape == (24, 16, 1)
    assert view.image.shape == view.colours.shape == (24, 16, 3)
    network.scaling = next(name for name in viewer.SCALINGS if name.startswith("BGR"))
    with pytest.raises(ValueError, match="takes grey pictures"):
        viewer.look(network, picture(), "plain gradient")


def test_scalings_by_numbers(blog, tmp_path):
    pixels = np.broadcast_to(np.array([0, 102, 255], np.uint8), (2, 2, 3))
    caffe, torch = [255 - 103.939, 102 - 116.779, -123.68], [-0.485 / 0.229, (0.4 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    wanted = [0, 0.4, 1], [-1, -0.2, 1], [0, 102, 255], caffe, torch
    for scaling, numbers in zip(viewer.SCALINGS, wanted, strict=True):
        inputs = viewer.Network(blog.model, size=(2, 2), scaling=scaling).inputs(pixels)
        assert inputs.dtype == np.float32
        np.testing.assert_allclose(inputs[0, 0, 0], numbers, rtol=1e-4, atol=1e-4)


TO_SIGNED = next(name for name in viewer.SCALINGS if name.startswith("[-1"))
TO_BGR, TO_RGB = (next(name for name in viewer.SCALINGS if name.startswith(start)) for start in ("BGR", "RGB"))
AUGMENTED = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])
OWN_LAYERS = {  # what stands before the first convolution: the pixels that the network wants
    "1/255": ([layers.Rescaling(1 / 255)], viewer.BYTES),
    "to [-1, 1]": ([layers.Rescaling(1 / 127.5, offset=-1)], viewer.BYTES),
    "inside a block": ([AUGMENTED], viewer.BYTES),
    "from [0, 1] up": ([layers.Rescaling(255.0)], viewer.UNIT),
    "from [0, 1] to [-1, 1]": ([layers.Rescaling(2.0, offset=-1)], viewer.UNIT),
    "from [-1, 1]": ([layers.Rescaling(127.5, offset=127.5)], TO_SIGNED),
    "normalised bytes": ([layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)], viewer.BYTES),
    "normalised units": ([layers.Normalization(mean=[0.45] * 3, variance=[0.05] * 3)], viewer.UNIT),
    "padding first": ([layers.ZeroPadding2D(), layers.Rescaling(1 / 255)], viewer.BYTES),
    "behind a convolution": ([layers.Conv2D(3, 1), layers.Rescaling(1 / 255)], viewer.UNIT),
}


@pytest.mark.parametrize("case", OWN_LAYERS)
def test_the_scaling_is_guessed_from_the_networks_own_layers(tmp_path, case):
    before, wanted = OWN_LAYERS[case]
    network = viewer.open_network(saved(small_network(before=before), tmp_path))
    assert network.scaling == wanted and ("scale by themselves" in network.guessed) == (case[:6] != "behind")


def test_the_scaling_is_guessed_from_operators(tmp_path):
    picture = keras.Input((8, 8, 3))
    scaled = ops.subtract(ops.true_divide(picture, 127.5), 1.0)  # keras.applications' preprocess_input in a network
    model = keras.Model(picture, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3)(scaled))), name="mobilenetv2")
    assert viewer.open_network(saved(model, tmp_path)).scaling == viewer.BYTES


NAMES = {"mobilenetv2_1.00_224": TO_SIGNED, "MobileNet_0.50": TO_SIGNED, "xception": TO_SIGNED, "resnet50": TO_BGR}
NAMES |= {"inception_resnet_v2": TO_SIGNED, "resnet101v2": TO_SIGNED, "vgg16": TO_BGR, "densenet121": TO_RGB}
NAMES |= {"convnext_tiny": viewer.BYTES, "efficientnetv2-b0": viewer.BYTES, "my_network": viewer.UNIT}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inside", [False, True])
def test_the_scaling_is_guessed_from_the_name(name, inside):
    picture = keras.Input((8, 8, 3))
    maps = layers.Conv2D(2, 3)(picture)
    if inside:  # a base with a head of one's own
        maps = keras.Model(picture, maps, name=name)(picture)
    model = keras.Model(picture, layers.Dense(2)(layers.Flatten()(maps)), name="functional" if inside else name)
    scaling, why = scalings.guess(model, (8, 8), 3)
    assert scaling == NAMES[name] and (name in why) == (name != "my_network")


def test_a_grey_network_is_not_guessed_to_want_colours():
    assert scalings.guess(stack(layers.Flatten(), layers.Dense(2), shape=(8, 8, 1)), (8, 8), 1)[0] == viewer.UNIT
    grey = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)], name="vgg16")
    assert scalings.guess(grey, (8, 8), 1)[0] == viewer.UNIT


def by_hand(raw, method="Grad-CAM"):
    raw = np.array(raw, np.float32)
    image = np.full((*raw.shape[:2], 3), 100, np.uint8)
    return views.View(image, raw, np.ones((*raw.shape[:2], 3)), method)


def test_opacity_that_follows_the_map_by_numbers():
    heat = by_hand([[0, 1], [2, 4]])
    wanted = 100 + 0.8 * np.array([[0, 0.25], [0.5, 1]]) * 155
    np.testing.assert_array_equal(viewer.overlay(heat, 0.8, follow=True)[..., 0], np.round(wanted))
    np.testing.assert_array_equal(viewer.overlay(heat, 0.8), np.full((2, 2, 3), 224))
    np.testing.assert_allclose(views.evidence(by_hand([[-4, 0], [1, 2]], viewer.CONTRIBUTION)), [[1, 0], [0.25, 0.5]])
    gradient = by_hand([[[1, -1, 0], [0, 0, 0]], [[-4, 0, 0], [0, 2, -2]]], "plain gradient")
    np.testing.assert_allclose(views.evidence(gradient), [[0.5, 0], [1, 1]], atol=0.01)


def test_a_colour_scale_says_what_the_colours_mean():
    heat, signed = by_hand([[0, 1], [2, 4]]), by_hand([[-4, 0], [1, 2]], viewer.CONTRIBUTION)
    assert views.scale(heat) == ("inferno", 0, 4) and views.scale(signed) == ("RdBu_r", -4, 4)
    colour_map, low, high = views.scale(by_hand(np.full((2, 2, 3), -3), "plain gradient"))
    assert (colour_map, low, high) == ("gray", -3, 3)
    assert views.scale(by_hand(np.zeros((2, 2)))) == ("inferno", 0, 1)


PLACES = {(0, 0): "upper left", (4, 4): "middle centre", (8, 1): "lower left", (2, 8): "upper right"}


@pytest.mark.parametrize(("place", "words"), PLACES.items(), ids=PLACES.values())
def test_where_a_map_is_strongest_in_words(place, words):
    raw = np.zeros((9, 9))
    assert views.in_words(by_hand(raw)) == "the map is zero everywhere"
    raw[place] = 2
    assert views.in_words(by_hand(raw)) == f"the map is strongest in the {words} of the picture"


def test_the_overlay_goes_from_the_grey_picture_to_the_map(blog):
    view = viewer.look(blog, Image.fromarray(DISH), "Grad-CAM")
    grey = np.repeat((DISH @ [0.299, 0.587, 0.114])[..., None], 3, -1)
    assert np.abs(viewer.overlay(view, 0) - grey).max() < 0.51
    np.testing.assert_array_equal(viewer.overlay(view, 1), np.round(255 * view.colours))
    assert np.abs(viewer.overlay(view, 0.5) - (grey + 255 * view.colours) / 2).max() < 0.51


def test_maps_in_colours():
    heat = views._colours(np.array([[0, 1], [2, 4]], np.float32), np.zeros((2, 2, 3)), "Grad-CAM")
    assert heat[0, 0].sum() < heat[0, 1].sum() < heat[1, 0].sum() < heat[1, 1].sum()
    signed = views._colours(np.array([[-2.0, 0], [0, 1]]), np.zeros((2, 2, 3)), viewer.CONTRIBUTION)
    assert signed[0, 0, 2] > signed[0, 0, 0] and signed[1, 1, 0] > signed[1, 1, 2]  # against: blue, for: red
    assert signed[0, 1].min() > 0.9  # nothing: white
    np.testing.assert_allclose(views._colours(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)), "plain gradient"), 0.5)


def test_class_names_lie_beside_the_file(tmp_path):
    file, names = saved(small_network(), tmp_path), tmp_path / "model.json"
    assert viewer.open_network(file).class_name(2) == "class 2"
    names.write_text(json.dumps({"class_names": ["cat", "dog", "bird"]}), encoding="utf-8-sig")
    assert viewer.open_network(file).class_name(2) == "bird"
    for text, complaint in (('{"class_names": ["cat"]}', "3 class_names are"), ("[]", "is wanted"), ("{", "is wanted")):
        names.write_text(text)
        with pytest.raises(ValueError, match=f"model.json beside the model.*{complaint}"):
            viewer.open_network(file)


NO_PICTURES = {b"": "an empty file. Choose another", b"%PDF-1.7": "no picture", b"\x89PNG\r\n\x1a\nbad": "no picture"}
NO_PICTURES[encoded(picture(200, 200), "jpeg")[:2000]] = r"damaged.*Choose another file"
NO_PICTURES[b"\0\0\0\x18ftypheic" + bytes(90)] = "HEIC.* export it as JPEG"


@pytest.mark.parametrize(("data", "complaint"), NO_PICTURES.items(), ids=["empty", "PDF", "broken", "cut off", "HEIC"])
def test_files_that_are_no_pictures(data, complaint):
    with pytest.raises(ValueError, match=complaint):
        viewer.read_picture(data)


NOTHING_THERE = {"": "give the path of a .keras or .h5 file", "gone.keras": "no model file .*gone.keras"}
NOTHING_THERE |= {"runs/never": "no finished training", "runs/never/model.keras": "no model file"}
NO_NETWORKS = {"model.txt": "no .keras or .h5 file", "best.weights.h5": "holds weights without"}
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
        ("a.keras", "b.h5", None, "its content is that of a .keras file; rename it so"),
        ("a.h5", "b.keras", None, "its content is that of an .h5 file; rename it so"),
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
    for version, advice in (("2.9.0", "open it with tf_keras"), ("99.1.0", "update it"), (None, "")):
        file = saved(model, tmp_path, f"old{kind}")
        edited(
            Path(file),
            lambda text: text.replace('"depth_multiplier": 7', '"depth_multiplier": 7, "groups": 1'),
            version,
        )
        with pytest.raises(
            ValueError, match=r"cannot be read as a Keras model: .*DepthwiseConv2D: .*'groups'"
        ) as refused:
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
    with pytest.raises(ValueError, match=r"model.keras is no classifier of pictures: the lens cap is on"):
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
    (tmp_path / "model.json").write_text(
        '{"class_names": {"species": ["cat", "dog", "bird"], "age": ["young", "old"]}}'
    )
    network, outputs = viewer.open_network(file), model(np.asarray(image, np.float32)[None] / 255)
    for head, method in (("age", guided.GuidedGradCAM), ("species", guided.Gradient), ("age", guided.Gradient)):
        network.choose_head(head)
        assert network.class_name(1) == {"age": "old", "species": "dog"}[head]
        found = viewer.probabilities(network, image)
        wanted = (
            keras.ops.softmax(outputs["species"][0])
            if head == "species"
            else [1 - outputs["age"][0, 0], outputs["age"][0, 0]]
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
        name = next(name for name, kind in viewer.METHODS.items() if kind is method)
        direct = method(model, output=head)(np.asarray(image, np.float32)[None] / 255, 1)[0]
        np.testing.assert_allclose(viewer.look(network, image, name, 1).raw, direct, rtol=1e-4, atol=1e-7)
    (tmp_path / "model.json").write_text('{"class_names": ["cat", "dog", "bird"]}')
    with pytest.raises(ValueError, match="2 class_names are wanted for its output 'age'"):
        viewer.open_network(file)


def two_inputs():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([first, second], layers.Dense(2)(layers.Flatten()(layers.Add()([first, second]))))


def test_networks_of_another_kind(tmp_path):
    vectors, two_channels = stack(layers.Dense(2), shape=(7,)), small_network(shape=(8, 8, 2))
    others = {r"takes \(None, 7\), no pictures": vectors, "no pictures": two_channels, "one input": two_inputs()}
    others |= {"no classifier of pictures": stack(layers.Conv2D(2, 3))}
    for complaint, model in others.items():
        with pytest.raises(ValueError, match=complaint):
            viewer.open_network(saved(model, tmp_path))


def test_the_page_begins_with_photographs_and_finds_one_of_a_thousand_classes_by_name():
    begun = page.Page()
    assert (begun.network.value, begun.picture.value) == ("ImageNet, 1,000 classes", "cat and coffee (photographs)")
    assert begun.credit.value == builtin.side_by_side("chelsea", "coffee").credit != ""
    likeliest = np.argsort(-begun.probabilities)[:10].tolist()
    assert [index for _, index in begun.class_index.options[1:11]] == likeliest and len(
        begun.class_index.options
    ) == 1001
    for word, name, half in (("espresso", "espresso", np.s_[:, 4:]), ("EGYPTIAN", "Egyptian cat", np.s_[:, :3])):
        begun.search.value = word
        assert begun.explained == begun.class_index.value == imagenet.LABELS.index(name)
        assert all(word.lower() in option.lower() for option, _ in begun.class_index.options[1:])
        assert begun.view.raw[half].sum() > 0.7 * begun.view.raw.sum()
    begun.search.value = "okonomiyaki"
    assert "no class of this network is called &#x27;okonomiyaki&#x27;" in begun.message.value
    begun.picture.value = "daisy (photograph)"
    assert begun.message.value == "" and begun.explained == imagenet.LABELS.index("Egyptian cat")
    begun.search.value = "y"
    begun.search.value = ""
    assert begun.explained == imagenet.LABELS.index("daisy") and len(begun.class_index.options) == 1001
    assert begun.figure().axes[0].get_xlabel() == builtin.load("flower").credit
    begun.class_index.value = last = int(begun.probabilities.argmin())  # a chosen class has its bar
    assert imagenet.LABELS[last] in begun.bars.value and begun.bars.value.count("bold") == 1
    assert imagenet.LABELS[last] in " ".join(text.get_text() for axis in begun.figure().axes for text in axis.texts)


def test_a_search_that_finds_nothing_leaves_all_classes_to_choose_from():
    begun = page.Page()
    begun.search.value, found = "espresso", imagenet.LABELS.index("espresso")
    assert len(begun.class_index.options) < 10
    begun.search.value = "qqqq"
    assert "no class of this network is called" in begun.message.value and begun.search.value == ""
    assert len(begun.class_index.options) == 1001 and begun.explained == found


def test_a_page_whose_first_network_is_damaged_says_so_until_another_is_chosen(tmp_path, monkeypatch):
    def damaged():
        raise OSError("weights/imagenet.weights.h5 is damaged")

    monkeypatch.setitem(networks.SHIPPED, "ImageNet, 1,000 classes", (imagenet.NAME, damaged))
    own = saved(small_network(), tmp_path)
    image = str(paths.ROOT / "pictures" / "coffee.jpg")
    for begun in (page.Page(), page.Page(image)):
        assert begun.message.value.count("is damaged") == 1 and begun.view is None
    begun.scaling.value = viewer.BYTES
    assert "is damaged" in begun.message.value and "AttributeError" not in begun.message.value
    begun.search.value = "cat"
    assert "is damaged" in begun.message.value and "no class" not in begun.message.value
    begun.network.value = BLOG
    assert begun.message.value == "" and begun.view is not None
    with_own = page.Page(image, own)
    assert with_own.network.value == own and with_own.message.value == "" and with_own.view is not None


@pytest.mark.parametrize("own", [True, False])
def test_a_page_without_any_weights_takes_a_network_of_ones_own(own, tmp_path, monkeypatch):
    file = saved(small_network(), tmp_path)
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "empty")
    begun = page.Page(model=file if own else None)
    assert ("no network: weights/ holds none" in begun.message.value) is not own
    begun.file.value = file
    assert begun.message.value == "" and begun.view is not None


def test_a_page_whose_first_picture_is_missing_says_so_until_another_is_chosen(monkeypatch):
    def missing():
        raise OSError("photograph 'chelsea' is missing")

    monkeypatch.setitem(gallery.PICTURES, "cat and coffee (photographs)", missing)
    begun = page.Page()
    assert "is missing" in begun.message.value and begun.view is None
    begun.network.value = BLOG
    assert "is missing" in begun.message.value and begun.view is None
    begun.picture.value = "pizza (drawn)"
    assert begun.message.value == "" and begun.view is not None


def test_the_page_shows_what_the_viewer_gives(shown):
    shown.picture.value, shown.method.value, shown.class_index.value = "both dishes (drawn)", "Guided Grad-CAM", 1
    pair = dishes.two_dishes(seed=116).image
    direct = guided.GuidedGradCAM(classifier.load_trained()[0])(pair[None].astype("float32") / 255, 1)[0]
    np.testing.assert_allclose(shown.view.raw, direct, rtol=1e-4, atol=1e-5 * np.abs(direct).max())
    shown.strength.value = 0
    seen, below = (np.asarray(Image.open(io.BytesIO(one.value))) for one in (shown.seen, shown.overlay))
    np.testing.assert_array_equal(seen, pair)
    np.testing.assert_array_equal(below, np.round(255 * plots.grey(pair)))
    assert "Guided Grad-CAM for pizza" in shown.titles[shown.overlay].value


def test_the_chosen_class_stays_and_the_likeliest_follows(shown):
    shown.method.value, shown.class_index.value = "Grad-CAM", page.LIKELIEST
    shown.picture.value = "okonomiyaki (drawn)"
    assert shown.explained == 0
    shown.picture.value = "both dishes (drawn)"
    assert shown.explained == int(shown.probabilities.argmax())
    shown.class_index.value = 0
    shown.picture.value = "pizza (drawn)"
    assert shown.explained == shown.class_index.value == 0
    assert shown.class_index.options[0][0].startswith("the likeliest: ")


def upload(name, data):
    about = {"name": name, "type": "", "size": len(data), "content": memoryview(data)}
    return ({**about, "last_modified": datetime.datetime.now(datetime.timezone.utc)},)


def test_uploads_join_the_pictures_or_are_refused(shown):
    before = shown.seen.value
    shown.upload.value = upload("<b>letter.pdf", b"%PDF")
    assert "&lt;b&gt;letter.pdf: no picture" in shown.message.value and shown.seen.value == before
    shown.upload.value = upload("lunch.png", encoded(picture(300, 200)))
    assert shown.picture.value == "lunch.png" and shown.message.value == "" and shown.seen.value != before
    shown.picture.value = "pizza (drawn)"
    shown.picture.value = "lunch.png"
    assert shown.view is not None


def test_networks_come_by_path_and_what_fails_is_said(shown, tmp_path):
    shown.file.value = "nothing.keras"
    assert "no model file" in shown.message.value and shown.network.value == BLOG and shown.view is not None
    smooth = layers.Conv2D(4, 3, activation="gelu"), layers.GlobalAveragePooling2D(), layers.Dense(12)
    shown.file.value = file = saved(stack(*smooth), tmp_path)
    assert shown.network.value == file and shown.message.value == "" and not shown.scaling.disabled
    assert len(shown.class_index.options) == 13 and "class " in shown.class_index.options[1][0]
    scores = shown.probabilities
    shown.scaling.value = viewer.BYTES
    assert not np.allclose(shown.probabilities, scores)
    shown.method.value = "deconvnet"
    assert "no ReLU" in shown.message.value and shown.view is None and shown.overlay.layout.visibility == "hidden"
    with pytest.raises(ValueError, match="its message says why"):
        shown.figure()
    shown.method.value = "Grad-CAM"
    assert shown.message.value == "" and shown.overlay.layout.visibility == "visible"
    shown.network.value = BLOG
    assert shown.scaling.disabled and shown.scaling.value == viewer.UNIT
    model = small_network()
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    shown.file.value = saved(model, tmp_path, "zero.keras")
    assert "zero everywhere" in shown.message.value and shown.view is not None


def test_the_same_upload_again_is_acted_on(shown):
    shown.network.value = BLOG
    for name, data in (("letter.pdf", b"%PDF"), ("lunch.png", encoded(picture(300, 200)))):
        for _ in range(2):
            shown.picture.value, shown.message.value = "pizza (drawn)", ""
            shown.upload.value = upload(name, data)
            assert shown.upload.value == ()  # so that a browser's same file is another value again
            assert (shown.picture.value == name) == (name == "lunch.png") != ("no picture" in shown.message.value)


def press_enter(field):
    """What a browser sends where the text is as it was."""
    field._handle_custom_msg({"event": "submit"}, [])


def test_enter_is_acted_on_again(shown, tmp_path):
    shown.network.value, shown.picture.value = BLOG, "pizza (drawn)"
    shown.path.value, file = str(tmp_path / "late.png"), str(tmp_path / "late.keras")
    assert "no picture file" in shown.message.value
    picture().save(tmp_path / "late.png")
    press_enter(shown.path)
    assert (shown.picture.value, shown.path.value, shown.message.value) == ("late.png", "", "")
    shown.file.value = file
    assert "no model file" in shown.message.value and shown.file.value == file  # nothing typed is lost
    saved(small_network(), tmp_path, "late.keras")
    press_enter(shown.file)
    assert (shown.network.value, shown.file.value, shown.message.value) == (file, "", "")
    press_enter(shown.file)
    assert shown.message.value == ""
    shown.network.value, shown.search.value = BLOG, "pizza"
    shown.class_index.value = page.LIKELIEST
    press_enter(shown.search)
    assert shown.class_index.value == 1
    shown.search.value = ""


QUOTED = ['"{}"', "'{}'", "  {}\t", ' "{}" ', "“{}”", "„{}“", "«{}»"]


@pytest.mark.parametrize("copied", [*(quoted.format for quoted in QUOTED), lambda path: Path(path).as_uri()])
def test_paths_are_taken_as_they_are_copied(shown, tmp_path, copied):
    file = saved(small_network(), tmp_path, "a network.keras")
    picture().save(tmp_path / "a picture.png")
    shown.file.value = copied(file)
    assert (shown.network.value, shown.message.value) == (file, "")
    shown.path.value = copied(tmp_path / "a picture.png")
    assert (shown.picture.value, shown.message.value) == ("a picture.png", "")


def test_a_title_never_outlives_its_map(shown, tmp_path, monkeypatch):
    shown.network.value, shown.method.value = BLOG, "Grad-CAM"
    assert "Grad-CAM for" in shown.titles[shown.overlay].value
    vectors = stack(layers.Flatten(), layers.Dense(4))  # nothing in it is a map
    shown.file.value = saved(vectors, tmp_path, "vectors.keras")
    assert "Choose the method &#x27;plain gradient&#x27;" in shown.message.value and shown.view is None
    assert shown.titles[shown.overlay].value == "" and shown.overlay.layout.visibility == "hidden"
    assert "class" in shown.bars.value and shown.seen.layout.visibility == "visible"  # what holds without a map
    shown.method.value = "plain gradient"
    assert "plain gradient for class" in shown.titles[shown.overlay].value and shown.message.value == ""
    monkeypatch.setattr(views, "probabilities", lambda *_: 1 / 0)
    shown.picture.value = "okonomiyaki (drawn)"
    assert "ZeroDivisionError" in shown.message.value and shown.bars.value == ""
    assert {title.value for title in shown.titles.values()} == {""}


def test_busy_until_all_is_drawn(shown):
    shown.network.value, shown.class_index.value = BLOG, page.LIKELIEST
    said = []
    for part in (shown.overlay, shown.bars, shown.titles[shown.overlay]):
        part.observe(lambda change: said.append(shown.message.value), "value")
    shown.picture.value, shown.method.value = "both dishes (drawn)", "plain gradient"
    assert said and set(said) == {page.BUSY} and shown.message.value == ""
    shown.overlay.unobserve_all()


def test_a_choice_from_another_thread_waits_for_its_turn(shown, monkeypatch):
    shown.network.value, shown.picture.value, shown.class_index.value = BLOG, "both dishes (drawn)", 0
    shown.method.value = "Grad-CAM"
    begun, look = threading.Event(), views.look

    def slowly(*arguments):
        begun.set()
        time.sleep(0.3)
        return look(*arguments)

    monkeypatch.setattr(views, "look", slowly)
    other = threading.Thread(target=lambda: setattr(shown.method, "value", "plain gradient"))
    other.start()
    assert begun.wait(20)
    shown.class_index.value = 1  # while the other choice is being drawn
    other.join(20)
    assert "plain gradient for pizza" in shown.titles[shown.overlay].value and shown.message.value == ""
    shown.method.value = "Grad-CAM"


def test_an_interrupt_leaves_the_page_alive(shown, monkeypatch):
    shown.network.value = BLOG
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(views, "look", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        shown.method.value = "deconvnet"
    assert shown.message.value == page.INTERRUPTED and shown.titles[shown.overlay].value == ""
    shown.method.value = "Grad-CAM"
    assert shown.message.value == "" and shown.view is not None


def test_a_guessed_scaling_is_shown_as_a_guess_until_one_is_chosen(shown, tmp_path):
    shown.file.value = saved(small_network(before=[layers.Rescaling(1 / 255)]), tmp_path)
    assert shown.scaling.value == viewer.BYTES and "guess, from its first layers" in shown.guess.value
    shown.scaling.value = viewer.UNIT
    assert shown.guess.value == ""
    shown.network.value = BLOG
    assert shown.guess.value == ""


def test_every_control_has_a_label(shown):
    controls, boxes = [], [shown.box]
    for box in boxes:
        boxes += [child for child in box.children if hasattr(child, "children")]
        controls += [child for child in box.children if hasattr(child, "observe") and hasattr(child, "disabled")]
    assert len(controls) == 16 and all(control.description for control in controls)


def test_the_page_offers_the_heads_of_a_network(shown, tmp_path):
    shown.network.value = BLOG
    assert shown.head.layout.display == "none"
    inputs = keras.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    heads = {name: layers.Dense(count, name=name)(features) for name, count in (("age", 2), ("species", 7))}
    model = keras.Model(inputs, heads)
    (tmp_path / "two.json").write_text(
        json.dumps({"class_names": {"age": ["young", "old"], "species": list("abcdefg")}})
    )
    shown.file.value = saved(model, tmp_path, "two.keras")
    assert shown.message.value == "" and shown.head.options == ("age", "species") and shown.head.layout.display is None
    assert "young" in shown.bars.value and len(shown.probabilities) == 2
    shown.head.value = "species"
    assert len(shown.probabilities) == 7 and len(shown.class_index.options) == 8 and "young" not in shown.bars.value
    network = viewer.open_network(str(tmp_path / "two.keras"))
    network.choose_head("species")
    direct = viewer.look(network, shown._image, "Grad-CAM", shown.explained)
    np.testing.assert_allclose(shown.view.raw, direct.raw, rtol=1e-4, atol=1e-7)
    assert shown._settings()["Network"] == "two.keras, head species"
    shown.network.value = BLOG
    assert shown.head.layout.display == "none" and "pizza" in shown.bars.value


def test_the_page_takes_custom_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "shipped", lambda: [BLOG])
    begun = page.Page(model=saved(small_network(before=[Own()]), tmp_path), custom_objects={"Own": Own})
    assert begun.message.value == "" and begun.network.value.endswith("model.keras")


def test_two_maps_side_by_side(shown, blog):
    shown.network.value, shown.picture.value, shown.method.value = BLOG, "both dishes (drawn)", "Grad-CAM"
    shown.class_index.value = page.LIKELIEST
    assert shown._panels[2].box.layout.display == "none"
    shown.compare.value = True
    pair = Image.fromarray(dishes.two_dishes(seed=116).image)
    titles = [shown.titles[panel].value for panel in (shown.overlay, shown.second)]
    assert sorted(titles) == ["<b>Grad-CAM for okonomiyaki</b>", "<b>Grad-CAM for pizza</b>"]  # both classes
    assert shown._panels[2].box.layout.display is None and shown.bars.value.count("bold") == 2
    shown.second_method.value, shown.second_class.value = "deconvnet", 1
    drawn = views.overlay(viewer.look(blog, pair, "deconvnet", 1), shown.strength.value)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.second.value))), drawn)
    assert shown.view.method == "Grad-CAM" and len(shown.figure().axes) == 6  # three pictures, two scales, bars
    shown.follow.value = True
    drawn = views.overlay(shown.view, shown.strength.value, follow=True)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.overlay.value))), drawn)
    shown.follow.value, shown.compare.value = False, False
    assert shown._panels[2].box.layout.display == "none" and len(shown.figure().axes) == 4


def test_a_saved_picture_says_what_it_shows(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "FOLDER", tmp_path / "saved")
    shown.network.value, shown.picture.value = BLOG, "both dishes (drawn)"
    shown.method.value, shown.class_index.value, shown.strength.value = "Grad-CAM", 0, 0.7
    before, size = plt.get_fignums(), shown.figure().get_size_inches()
    plt.close()
    for name in ("both_dishes_drawn_Grad-CAM_for_okonomiyaki", "both_dishes_drawn_Grad-CAM_for_okonomiyaki_2"):
        shown.save.click()
        file = tmp_path / "saved" / f"{name}.png"
        assert file.name in shown.message.value and "data:image/png;base64," in shown.message.value
    assert plt.get_fignums() == before
    with Image.open(file) as stored:
        assert stored.size == tuple(np.round(200 * size))  # figures have 100 dots an inch
        words, settings = stored.text, json.loads(stored.text["Comment"])
    assert words["Title"] == "both dishes (drawn): Grad-CAM for okonomiyaki"
    assert words["Description"].startswith("Grad-CAM for okonomiyaki: the map is strongest in the")
    assert settings["Network"] == BLOG and settings["Overlay"] == "70%" and settings["Pixels"] == viewer.UNIT
    shown._maps = []
    shown.save.click()
    assert "shows no explanation" in shown.message.value
    shown.strength.value = 0.55


def test_the_page_says_how_large_an_upload_may_be(monkeypatch):
    for limit, wanted in ((None, "up to 10 MB"), ("250", "up to 250 MB")):
        monkeypatch.delenv("UPLOAD_MB", raising=False)
        if limit:
            monkeypatch.setenv("UPLOAD_MB", limit)
        left = controls.Controls(["a picture"], ["a network"]).box.children[0].children[0]
        assert wanted in str([child.value for child in left.children])


def test_a_page_may_begin_with_a_picture_and_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "shipped", lambda: [BLOG])
    picture().save(tmp_path / "lunch.png")
    file = saved(small_network(), tmp_path)
    begun = page.Page(str(tmp_path / "lunch.png"), file)
    assert (begun.picture.value, begun.network.value) == ("lunch.png", file)
    assert "text/plain" in begun._repr_mimebundle_() and len(begun.figure().axes) == 4
    wrong = page.Page(picture=str(tmp_path / "gone.png"))
    assert "gone.png" in wrong.message.value and wrong.view is not None
    both = page.Page(str(tmp_path / "gone.png"), str(tmp_path / "gone.keras"))
    assert "gone.png" in both.message.value and "gone.keras" in both.message.value
