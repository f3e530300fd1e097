"""The page of notebook 11 without a browser: the helpers' maps, an overlay by arithmetic, errors as text."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from helpers import classifier, dishes, gcm, viewer
from helpers.viewer import panels, scalings, views

BLOG = "kitchen CNN (the blog's)"
DISH = dishes.render("pizza", seed=1).image


def picture(width=40, height=30):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


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
    network, image = viewer.open_network(saved(model, tmp_path)), picture(32, 32)
    assert next(iter(network.methods)) == viewer.CONTRIBUTION and network.size == (32, 32)
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
    with pytest.raises(ValueError, match=r"contribution.*choose one of Grad-CAM, "):
        viewer.look(network, picture(), viewer.CONTRIBUTION)
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
    assert network.scaling == wanted and ("which scale the pixels" in network.guessed) == (case[:6] != "behind")


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
    image = np.full((*raw.shape[:2], 3), 102, np.uint8)  # 0.4, lightened to 0.25 + 0.65 * 0.4 = 0.51
    return views.View(image, raw, np.ones((*raw.shape[:2], 3)), method)


def test_opacity_that_follows_the_map_by_numbers():
    heat = by_hand([[0, 1], [2, 4]])
    wanted = 130.05 + 0.8 * np.array([[0, 0.378929], [0.615572, 1]]) * 124.95  # 0.25**0.7 and 0.5**0.7
    np.testing.assert_array_equal(viewer.overlay(heat, 0.8, follow=True)[..., 0], np.round(wanted))
    np.testing.assert_array_equal(viewer.overlay(heat, 0.8), np.full((2, 2, 3), 230))
    np.testing.assert_allclose(views.evidence(by_hand([[-4, 0], [1, 2]], viewer.CONTRIBUTION)), [[1, 0], [0.25, 0.5]])
    gradient = by_hand([[[1, -1, 0], [0, 0, 0]], [[-4, 0, 0], [0, 2, -2]]], "plain gradient")
    np.testing.assert_allclose(views.evidence(gradient), [[0.5, 0], [1, 1]], atol=0.01)


def test_a_colour_scale_says_what_the_colours_mean():
    heat, signed = by_hand([[0, 1], [2, 4]]), by_hand([[-4, 0], [1, 2]], viewer.CONTRIBUTION)
    assert views.scale(heat) == ("inferno", 0, 4) and views.scale(signed) == ("RdBu_r", -4, 4)
    colour_map, low, high = views.scale(by_hand(np.full((2, 2, 3), -3), "plain gradient"))
    assert (colour_map, low, high) == ("gray", -3, 3)
    assert views.scale(by_hand(np.zeros((2, 2)))) == ("inferno", 0, 1)
    peak = np.zeros((3, 3), np.float32)
    peak[1, 1] = 1
    drawn = by_hand(peak)._replace(image=np.zeros((6, 6, 3), np.uint8))
    assert views.scale(drawn) == ("inferno", 0, 0.75**2), "no pixel of the up-sampled map shows the peak"


PLACES = {(0, 0): "upper left", (4, 4): "centre", (8, 1): "lower left", (2, 8): "upper right"}


@pytest.mark.parametrize(("place", "words"), PLACES.items(), ids=PLACES.values())
def test_where_a_map_is_strongest_in_words(place, words):
    raw = np.zeros((9, 9))
    assert views.in_words(by_hand(raw)) == "the map is zero everywhere"
    raw[place] = 2
    assert views.in_words(by_hand(raw)) == f"the map is strongest in the {words} of the picture"


def test_the_overlay_goes_from_the_grey_picture_to_the_map(blog):
    view = viewer.look(blog, Image.fromarray(DISH), "Grad-CAM")
    grey = 0.25 * 255 + 0.65 * np.repeat((DISH @ [0.299, 0.587, 0.114])[..., None], 3, -1)
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


@pytest.mark.parametrize("method, sign", [("Grad-CAM", 1), (viewer.CONTRIBUTION, -1)])
def test_a_saved_sheets_scale_does_not_lie_on_its_power_of_ten(method, sign):
    raw = np.array([[0, sign * 1e-8], [5e-9, 1e-8]], np.float32)
    shown = [(method, views.View(np.zeros((2, 2, 3), np.uint8), raw, np.zeros((2, 2, 3)), method), np.zeros((2, 2, 3)))]
    figure = panels.sheet(shown * 2, [("pizza", 1.0, True)], "", "")
    figure.draw_without_rendering()
    scales = [axes.xaxis for axes in figure.axes if axes.xaxis.get_offset_text().get_text()]
    assert len(scales) == 2
    for axis in scales:
        assert not axis.label.get_window_extent().overlaps(axis.get_offset_text().get_window_extent())
