"""The page of notebook 11, driven from Python."""

import datetime
import io

import numpy as np
import pytest
from fake_services import encoded
from keras import layers
from PIL import Image
from test_viewer import BLOG, picture, saved, small_network, stack

from helpers import classifier, dishes, guided, imagenet, paths, plots, viewer
from helpers.photos import builtin
from helpers.viewer import controls, gallery, networks, page, views


@pytest.fixture(scope="module")
def shown():
    begun = page.Page()
    begun.network.value = BLOG
    return begun


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
    shown.upload.value = upload("lunch.png", encoded(picture(300, 200), "PNG"))
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
    for name, data in (("letter.pdf", b"%PDF"), ("lunch.png", encoded(picture(300, 200), "PNG"))):
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
    shown.path.value, file = f'"{tmp_path / "late.png"}"', str(tmp_path / "late.keras")
    assert "no picture file" in shown.message.value
    picture().save(tmp_path / "late.png")
    press_enter(shown.path)
    assert (shown.picture.value, shown.path.value, shown.message.value) == ("late.png", "", "")
    shown.file.value = typed = f"'{file}'"
    assert "no model file" in shown.message.value and shown.file.value == typed  # nothing typed is lost
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


def test_paths_are_taken_as_they_are_copied(tmp_path):
    path = tmp_path / "a picture.png"
    copied = [path.as_uri(), *(quoted.format(path) for quoted in QUOTED)]
    assert {controls.unquoted(some) for some in copied} == {str(path)}


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
