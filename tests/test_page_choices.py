"""The page of notebook 11: other threads, scalings, heads, two maps, saving."""

import io
import json
import threading
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from PIL import Image
from test_viewer import BLOG, picture, saved, small_network
from test_viewer_files import Own

from helpers import dishes, viewer
from helpers.viewer import controls, networks, page, saving, views


@pytest.fixture(scope="module")
def blog():
    return viewer.open_network(BLOG)


@pytest.fixture(scope="module")
def shown():
    begun = page.Page()
    begun.network.value = BLOG
    return begun


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


def test_a_search_made_while_the_picture_cannot_be_scored(shown, tmp_path):
    """The class that was chosen before is not among those that the new word finds."""
    names = Path(saved(small_network(shape=(24, 16, 1)), tmp_path, "grey.keras"))
    names.with_suffix(".json").write_text('{"class_names": ["cat", "dog", "dogfish"]}')
    shown.file.value, shown.search.value = str(names), "cat"
    shown.scaling.value = next(name for name in networks.SCALINGS if name.startswith("BGR"))
    assert "takes grey pictures" in shown.message.value
    shown.search.value = " dog "
    shown.scaling.value = networks.UNIT
    assert "Invalid" not in shown.message.value and shown.class_index.value == page.LIKELIEST
    assert [index for _, index in shown.class_index.options[1:]] == sorted(
        [1, 2], key=lambda n: -shown.probabilities[n]
    )
    shown.search.value = "  "
    assert shown.class_index.value == page.LIKELIEST and len(shown.class_index.options) == 4
    shown.network.value = BLOG


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
    drawn = views.overlay(viewer.look(blog, pair, "deconvnet", 1), shown.strength.value, follow=True)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.second.value))), drawn)
    assert shown.view.method == "Grad-CAM" and len(shown.figure().axes) == 6  # three pictures, two scales, bars
    shown.follow.value = False
    drawn = views.overlay(shown.view, shown.strength.value)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.overlay.value))), drawn)
    shown.compare.value = False
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
