"""The page of notebook 11 without a browser: the helpers' maps, an overlay by arithmetic, errors as text."""

import datetime
import io
import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from helpers import classifier, dishes, gcm, guided, imagenet, viewer
from helpers.photos import builtin
from helpers.viewer import page, views

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
    model = small_network(before=[layers.Rescaling(1 / 255)])  # one that scales by itself
    assert viewer.open_network(saved(model, tmp_path)).scaling == viewer.BYTES


def test_the_overlay_goes_from_the_picture_to_the_map(blog):
    view = viewer.look(blog, Image.fromarray(DISH), "Grad-CAM")
    np.testing.assert_array_equal(viewer.overlay(view, 0), DISH)
    np.testing.assert_array_equal(viewer.overlay(view, 1), np.round(255 * view.colours))
    half = viewer.overlay(view, 0.5).astype(float)
    assert np.abs(half - (DISH + 255 * view.colours) / 2).max() <= 0.5


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
    names.write_text(json.dumps({"class_names": ["cat", "dog", "bird"]}))
    assert viewer.open_network(file).class_name(2) == "bird"
    for text, complaint in (('{"class_names": ["cat"]}', "3 class_names are"), ("[]", "is wanted"), ("{", "is wanted")):
        names.write_text(text)
        with pytest.raises(ValueError, match=f"model.json beside the model.*{complaint}"):
            viewer.open_network(file)


NO_PICTURES = {b"": "an empty file. Choose another", b"%PDF-1.7": "no picture", b"\x89PNG\r\n\x1a\nbad": "no picture"}
NO_PICTURES[encoded(picture(200, 200), "jpeg")[:2000]] = r"damaged.*Choose another file"


@pytest.mark.parametrize(("data", "complaint"), NO_PICTURES.items(), ids=["empty", "PDF", "broken", "cut off"])
def test_files_that_are_no_pictures(data, complaint):
    with pytest.raises(ValueError, match=complaint):
        viewer.read_picture(data)


NOTHING_THERE = {"": "give the path of a .keras or .h5 file", "gone.keras": "no model file .*gone.keras"}
NOTHING_THERE |= {"runs/never": "no finished training", "runs/never/model.keras": "no model file"}
NO_NETWORKS = {"model.txt": "no .keras or .h5 file", "best.weights.h5": "holds weights without"}
NO_NETWORKS |= dict.fromkeys(["model.keras", "model.h5"], "cannot be read as a Keras model")


@pytest.mark.parametrize(("name", "complaint"), {**NOTHING_THERE, **NO_NETWORKS, "folder": "is a folder: save"}.items())
def test_files_that_are_no_networks(tmp_path, monkeypatch, name, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    if name in NO_NETWORKS:
        (tmp_path / name).write_bytes(b"words")
    with pytest.raises(FileNotFoundError if name in NOTHING_THERE else ValueError, match=complaint):
        viewer.open_network(name)


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


def test_the_page_shows_what_the_viewer_gives(shown):
    shown.picture.value, shown.method.value, shown.class_index.value = "both dishes (drawn)", "Guided Grad-CAM", 1
    pair = dishes.two_dishes(seed=116).image
    direct = guided.GuidedGradCAM(classifier.load_trained()[0])(pair[None].astype("float32") / 255, 1)[0]
    np.testing.assert_allclose(shown.view.raw, direct, rtol=1e-4, atol=1e-5 * np.abs(direct).max())
    shown.strength.value = 0
    assert shown.overlay.value == shown.seen.value
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.overlay.value))), pair)
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


def test_a_page_may_begin_with_a_picture_and_a_network(tmp_path):
    picture().save(tmp_path / "lunch.png")
    file = saved(small_network(), tmp_path)
    begun = page.Page(str(tmp_path / "lunch.png"), file)
    assert (begun.picture.value, begun.network.value) == ("lunch.png", file)
    assert "text/plain" in begun._repr_mimebundle_() and len(begun.figure().axes) == 3
    wrong = page.Page(picture=str(tmp_path / "gone.png"))
    assert "gone.png" in wrong.message.value and wrong.view is not None
