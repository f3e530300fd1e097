"""The blog's row of four from one's own photo: `make row`."""

import json
import runpy
import shutil
import unicodedata
from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_services import encoded
from keras import layers
from PIL import Image
from test_viewer import BLOG, picture, saved, small_network

from helpers import gradcam, imagenet, paths, plots, viewer
from helpers.guided import GuidedGradCAM
from helpers.photos import builtin
from helpers.plots import japanese
from helpers.viewer import row

COFFEE = paths.ROOT / "pictures" / "coffee.jpg"


@pytest.fixture(scope="module")
def network():
    return viewer.open_network(viewer.shipped()[0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(row, "FOLDER", tmp_path / "saved")
    return row.FOLDER


def drawn(axes):
    return np.asarray(axes.images[-1].get_array())


@pytest.mark.parametrize("words", ["espresso", "Espresso", "EGYPTIAN CAT"])
def test_classes_are_found_by_name_whatever_their_case(network, words):
    assert imagenet.LABELS[row.class_index(network, words)].casefold() == words.casefold()


def test_names_that_differ_in_case_alone_are_told_apart():
    birds = SimpleNamespace(class_names=["Turkey", "turkey"])
    assert [row.class_index(birds, words) for words in birds.class_names] == [0, 1]


@pytest.mark.parametrize(
    "words, near", [("expreso", "espresso"), ("teapots", "teapot"), ("coffee", "coffee mug"), ("qqqqqq", "none has a")]
)
def test_another_name_is_answered_by_the_nearest(network, words, near):
    with pytest.raises(ValueError, match=rf"no class '{words}'.*{near}") as told:
        row.class_index(network, words)
    assert "\n" not in str(told.value) and len(str(told.value)) < 200


def test_classes_without_names_go_by_number(tmp_path):
    numbered = viewer.open_network(saved(small_network(), tmp_path))
    assert row.class_index(numbered, "2") == 2
    with pytest.raises(ValueError, match="no class names: give a number"):
        row.class_index(numbered, "cat")
    with pytest.raises(ValueError, match="no class 3: this network has 3"):
        row.draw(numbered, picture(), 3)


def test_the_row_shows_what_the_helpers_compute(network):
    image, credit, name = row.read(COFFEE)
    index = imagenet.LABELS.index("espresso")
    figure, raw, about = row.draw(network, image, index, credit)
    inputs = network.inputs(network.pixels(image))
    np.testing.assert_allclose(raw, gradcam.GradCAM(network.model)(inputs, index)[0], rtol=1e-4, atol=1e-6)
    assert about["score"] == pytest.approx(float(network.model(inputs)[0, index]), rel=1e-4)
    assert about["class"] == "espresso" and about["layer"] == "head_relu" and "espresso" in about["words"]
    assert credit == builtin.load("coffee").credit == figure.axes[0].get_xlabel() and name == "coffee"
    assert [axes.get_title() for axes in figure.axes] == list(row.TITLES)
    guided_maps = GuidedGradCAM(network.model)(inputs, index)[0]
    np.testing.assert_allclose(drawn(figure.axes[3]), plots.gradient_colours(guided_maps), atol=0.01)
    np.testing.assert_array_equal(drawn(figure.axes[2]), raw)
    assert figure.axes[1].texts[0].get_text() == f"espresso  {about['score']:.0%}"


def test_a_class_that_is_not_likely_has_its_bar_as_well(network):
    index = imagenet.LABELS.index("Egyptian cat")
    figure, _, _ = row.draw(network, row.read(COFFEE)[0], index)
    names = [text.get_text().rpartition("  ")[0] for text in figure.axes[1].texts]
    assert len(names) == row.SHOWN + 1 and names[-1] == "Egyptian cat"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_saved_are_the_row_its_map_and_its_recipe(folder, kind):
    blog = viewer.open_network(BLOG)
    figure, raw, about = row.draw(blog, picture(), 1)
    about |= {"picture": "my photo", **row.recipe(BLOG)}
    drawn, stored, recipe = row.save(figure, raw, about, kind)
    assert {path.name for path in folder.iterdir()} == {f"my_photo_pizza.{end}" for end in (kind, "npy", "json")}
    np.testing.assert_array_equal(np.load(stored), raw)
    told = json.loads(recipe.read_text(encoding="utf-8"))
    known = json.loads((paths.WEIGHTS / "kitchen_cnn.json").read_text(encoding="utf-8"))
    assert (
        told["weights"] == known["sha256"] and told["class"] == "pizza" and set(told["versions"]) == set(row.VERSIONS)
    )
    if kind == "png":
        assert Image.open(drawn).text["Description"] == told["words"]
    else:
        assert f"<title>{told['words']}</title>" in drawn.read_text(encoding="utf-8")


def test_a_grey_networks_guided_map_is_grey(tmp_path):
    grey = viewer.open_network(saved(small_network(shape=(24, 16, 1)), tmp_path))
    figure, _, about = row.draw(grey, picture(), 0)
    raw = viewer.look(grey, picture(), "Guided Grad-CAM", 0).raw
    colours = np.broadcast_to(plots.gradient_colours(raw), (24, 16, 3))
    np.testing.assert_allclose(drawn(figure.axes[3]), colours, atol=0.01)
    assert (about["pixels"], about["output"]) == (grey.scaling, None)


def test_a_network_of_whole_numbers_is_refused(tmp_path):
    inputs = keras.Input((24, 16, 3), dtype="uint8")
    whole = keras.Model(inputs, small_network()(keras.layers.Rescaling(1 / 255)(inputs)))
    whole = viewer.open_network(saved(whole, tmp_path))
    with pytest.raises(ValueError, match="takes whole numbers, which have no gradient: no Guided Grad-CAM"):
        row.draw(whole, picture(), 0)


def test_a_network_without_relus_has_its_plain_gradient_in_the_row(tmp_path):
    chain = [layers.Conv2D(4, 3, activation="swish"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    network = viewer.open_network(saved(keras.Sequential([keras.Input((24, 16, 3)), *chain]), tmp_path))
    figure, _, _ = row.draw(network, picture(), 1)
    assert figure.axes[3].get_title() == "plain gradient"
    gradient = viewer.look(network, picture(), "plain gradient", 1)
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), gradient.colours, atol=1e-6)


def test_nothing_saved_is_overwritten(folder):
    figure = plt.figure()
    saved_twice = [row.save(figure, np.full(2, n), {"picture": "a", "class": "b", "words": ""}) for n in range(2)]
    assert [path.name for path in saved_twice[1]] == ["a_b_2.png", "a_b_2.npy", "a_b_2.json"]
    assert [np.load(files[1])[0] for files in saved_twice] == [0, 1]


@pytest.mark.parametrize("text", [b"file,licence\n\xff,", b"name\none.jpg\n", b"licence,file\nCC0\n"])
def test_a_damaged_list_of_credits_is_named(tmp_path, text):
    shutil.copy(COFFEE, tmp_path / "one.jpg")
    (tmp_path / "attributions.csv").write_bytes(text)
    with pytest.raises(ValueError, match=r"damaged: mend it \(its first line has to be file,creator,licence\)"):
        row.read(tmp_path / "one.jpg")


def test_the_credit_comes_from_the_list_beside_the_photo(tmp_path):
    (tmp_path / "cups").mkdir()
    shutil.copy(COFFEE, tmp_path / "cups" / "one.jpg")
    assert row.read(tmp_path / "cups" / "one.jpg")[1] == ""
    head = "file,sha256,title,creator,licence,licence_url,page_url,source,date\n"
    (tmp_path / "attributions.csv").write_text(head + "cups/one.jpg,,,Ann,CC BY 2.0,,,,\n", encoding="utf-8")
    assert row.read(tmp_path / "cups" / "one.jpg")[1] == "CC BY 2.0 by Ann"


def test_names_are_found_in_either_form_of_unicode(tmp_path):
    composed, parted = (unicodedata.normalize(form, "ピザ") for form in ("NFC", "NFD"))
    shutil.copy(COFFEE, tmp_path / f"{parted}.jpg")
    (tmp_path / "attributions.csv").write_text(f"file,creator,licence\n{composed}.jpg,Ann,CC0\n", encoding="utf-8")
    assert row.read(tmp_path / f"{parted}.jpg")[1] == "CC0 by Ann"
    assert row.class_index(SimpleNamespace(class_names=["?", parted]), composed) == 1


def test_a_row_can_be_saved_whatever_its_name(folder):
    files = row.save(plt.figure(), np.zeros(2), {"picture": "あ" * 100, "class": "い" * 100, "words": ""})
    assert all(file.exists() and len(file.name.encode()) < 250 for file in files)


def test_the_output_that_is_explained_is_named_and_can_be_chosen(folder, tmp_path, capsys):
    inputs = keras.Input((24, 16, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    heads = {name: layers.Dense(count, name=name)(features) for name, count in (("age", 2), ("species", 7))}
    file = saved(keras.Model(inputs, heads), tmp_path)
    main = runpy.run_path(str(paths.ROOT / "scripts" / "draw_row.py"))["main"]
    main([str(COFFEE), "--network", file, "--output", "species", "--class", "6"])
    assert "Output: species, one of age, species (--output)." in capsys.readouterr().out
    with pytest.raises(SystemExit, match="output 'box': this network has age, species"):
        main([str(COFFEE), "--network", file, "--output", "box"])


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["nowhere.jpg"], "no picture file 'nowhere.jpg': make row PICTURE=<path of a photo>"),
        ([""], "no picture file '': make row PICTURE=<path of a photo>"),
        (["README.md"], "README.md: "),
        ([str(COFFEE), "--class", "expreso"], "no class 'expreso': did you mean espresso"),
        ([str(COFFEE), "--network", "nothing.keras"], "no model file 'nothing.keras'"),
    ],
)
def test_bad_input_gets_one_clear_line(arguments, told, capsys):
    main = runpy.run_path(str(paths.ROOT / "scripts" / "draw_row.py"))["main"]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code.startswith(told) and "\n" not in stopped.value.code
    machine = capsys.readouterr().out
    assert machine == "" or (len(arguments) > 1 and machine.count("\n") == 1 and "float32, seed 0" in machine)


def test_encoded_pictures_of_any_kind_are_read(tmp_path):
    (tmp_path / "a.webp").write_bytes(encoded(picture(), "webp"))
    assert row.read(tmp_path / "a.webp")[0].size == picture().size


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution, self.flatten, self.dense = layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)

    def call(self, inputs):
        return self.dense(self.flatten(self.convolution(inputs)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_subclassed_network_gets_pictures_as_in_its_first_call(tmp_path, channels):
    model = Subclassed()
    model(np.zeros((2, 20, 24, channels), np.float32))
    network = viewer.open_network(saved(model, tmp_path))
    assert (network.size, network.channels) == ((20, 24), channels)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_readers_own_words_are_shown_as_they_are(language):
    """Credits and class names, long ones, Japanese ones and $: whole, within the figure, with all their letters."""
    figure, axes = plt.subplots(1, 4, figsize=(plots.WIDTH, 2.7))
    names = ["お好み焼き", "$5 & $9"]
    credit = "CC BY-SA 4.0 by 山田太郎, Ann Pizza and A$AP $tudio, a Company With a Long Name, via Wikimedia Commons"
    image, heat, gradient = np.zeros((8, 8, 3), np.uint8), np.ones((2, 2)), np.ones((8, 8, 3))
    plots.case_row(axes, image, [0.4, 0.6], heat, gradient, names, credit)
    if language == "ja":
        japanese.translate(figure)
    figure.canvas.draw()  # a missing letter is a warning, and that an error
    label = axes[0].xaxis.label
    assert " ".join(label.get_text().split()) == credit and not label.get_parse_math()
    place = label.get_window_extent()
    assert min(place.p0) >= 0 and place.x1 < axes[1].get_window_extent().x0
    assert [text.get_text() for text in axes[1].texts] == ["お好み焼き  40%", r"\$5 & \$9  60%"]
