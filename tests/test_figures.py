"""What is seen of a figure by those who do not see it, who see no red, who see it in Japanese, or as vectors."""

import ast
import copy
import functools
import importlib
import io
import json
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from PIL import Image

from helpers import dishes, paths, plots
from helpers.comparison import cheat_sheet, methods
from helpers.plots import japanese, listing, style, terms, terms_of_methods

SENTENCE = 'A "dish" & <sauce>: 50 % お好み焼き.'
ESCAPED = "A &quot;dish&quot; &amp; &lt;sauce&gt;: 50 % お好み焼き."
CELL = f"""import sys
sys.path.insert(0, {str(paths.ROOT)!r})
import matplotlib.pyplot as plt
from helpers import plots
figure, axes = plt.subplots(figsize=(2, 1))
plots.save_figure("one", figure, alt={SENTENCE!r})
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    return paths.FIGURES


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A notebook of one cell that saves a figure, after its run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIGURES_DIR", str(tmp_path_factory.mktemp("figures")))
        NotebookClient(notebook, kernel_name="python3").execute()
    return notebook


def test_a_cell_shows_a_figure_once_with_its_text_alternative(ran):
    (output,) = ran.cells[0].outputs
    assert output.data["text/plain"] == SENTENCE and "image/png" not in output.data
    assert output.data["text/html"].startswith(f'<img alt="{ESCAPED}" src="data:image/png;base64,')


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter])
def test_exports_carry_the_text_alternative(ran, exporter):
    """JupyterLab draws an output of image/png without one, and nbconvert's Markdown calls it "png"."""
    assert alternatives(exporter, ran) == [SENTENCE]


def alternatives(exporter, notebook):
    """The text alternatives of all pictures on the page that nbconvert makes of a notebook."""
    page, _ = exporter().from_notebook_node(notebook)
    found, reader = [], HTMLParser()
    reader.handle_starttag = lambda tag, values: found.append(dict(values)["alt"]) if tag == "img" else None
    reader.feed(page)
    return found


def test_a_stored_figure_is_a_png_with_its_text_alternative(ran, monkeypatch):
    monkeypatch.syspath_prepend(paths.ROOT / "scripts")
    monkeypatch.setenv("TQDM_DISABLE", "1")  # as the script sets it for its kernels
    stored = copy.deepcopy(ran)
    importlib.import_module("run_notebooks").shrink(stored)
    (before,), (output,) = (notebook.cells[0].outputs for notebook in (ran, stored))
    assert "text/html" not in output.data and output.metadata["image/png"] == {"alt": SENTENCE}
    assert f'src="data:image/png;base64,{output.data["image/png"]}"' in before.data["text/html"]
    classic = functools.partial(HTMLExporter, template_name="classic")  # the template that reads alternatives of PNGs
    assert alternatives(classic, stored) == [SENTENCE]


def figure_calls(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "save_figure":
                yield ast.unparse(node), len(node.args) > 2 or any(word.arg == "alt" for word in node.keywords)


@pytest.mark.parametrize("path", sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_every_figure_of_a_notebook_has_its_sentence(path):
    assert [call for call, has_alt in figure_calls(path) if not has_alt] == []


def luminance(colour):
    """Relative luminance as WCAG 2.2 defines it."""
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(*colours):
    darker, lighter = sorted(map(luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_two_classes_differ_without_colours():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WCAG's well-known example
    okonomiyaki, pizza = (plots.CLASS_COLOURS[label] for label in dishes.LABELS)
    assert min(contrast(okonomiyaki, pizza), contrast(pizza, "#ffffff"), contrast(okonomiyaki, "#ffffff")) >= 3
    axes = plt.figure().subplots()
    plots.score_bars(axes, [0.6, 0.4], dishes.LABELS)
    assert len({bar.get_hatch() for bar in axes.patches}) == 2


def test_the_key_of_the_heat_says_what_dark_and_light_mean():
    figure, axes = plt.subplots(1, 2)
    drawn = plots.show_heat(axes[0], np.eye(4))
    plots.heat_key(figure)
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_xticklabels()] == ["no evidence", "most evidence"]
    assert bar._colorbar.cmap.name == drawn.cmap.name


def test_the_key_of_a_gradient_has_its_colours():
    figure, axes = plt.subplots()
    plots.show_gradient(axes, np.array([[[0, 0, 0], [1, 1, 1], [-1, -1, -1]]]))
    plots.gradient_key(figure)
    patches = figure.legends[0].get_patches()
    drawn = axes.images[0].get_array()[0]
    for patch, colour in zip(patches[:3], drawn, strict=True):  # zero, positive and negative in all colours
        np.testing.assert_allclose(patch.get_facecolor()[:3], colour)
    mixed = ((0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 1, 0), (1, -1, 0))  # in red, green and blue
    for patch, signs in zip(patches[3:], np.array(mixed), strict=True):
        np.testing.assert_allclose(np.sign(plots.gradient_colours(signs[None, None])[0, 0] - 0.5), signs)
        named = signs != 0
        assert (np.sign(np.array(patch.get_facecolor()[:3]) - 0.5) == signs)[named].all()


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_files_carry_the_sentence_and_the_page_lists_it(folder, monkeypatch, kind):
    monkeypatch.setenv("FIGURES_FORMAT", kind)
    for name in ("b", "a"):
        plt.figure(figsize=(1, 1))
        plots.save_figure(name, alt=SENTENCE)
    assert {path.name for path in folder.iterdir()} == {f"a.{kind}", f"b.{kind}"}
    assert style.description(folder / f"a.{kind}") == SENTENCE
    for name in ("a_load_drawn", "a_quick", "05_photos_rows"):
        (folder / f"{name}.png").write_bytes(b"of another run: never opened")
    listing.write(folder)
    rows = (folder / "README.md").read_text(encoding="utf-8").splitlines()[-2:]
    assert rows == [f"| {name} ([{kind}]({name}.{kind})) | {SENTENCE} |" for name in ("a", "b")]


def test_vectors_are_the_same_every_time(folder, monkeypatch):
    monkeypatch.setenv("FIGURES_FORMAT", "svg")
    seen = []
    for _ in range(2):
        plots.score_bars(plt.figure(figsize=(3, 2)).subplots(), [0.6, 0.4], dishes.LABELS)
        plots.save_figure("bars", alt=SENTENCE)
        seen.append((folder / "bars.svg").read_bytes())
    assert seen[0] == seen[1] and b"<path" in seen[0] and b"<image" not in seen[0]


def test_a_new_sentence_rewrites_the_file(folder):
    for sentence in ("one", "two"):
        plt.figure(figsize=(1, 1))
        plots.save_figure("a", alt=sentence)
        assert Image.open(io.BytesIO((folder / "a.png").read_bytes())).text["Description"] == sentence


@pytest.mark.parametrize(
    "english, wanted",
    [
        ("okonomiyaki", "お好み焼き"),
        ("pizza  42%", "ピザ  42%"),
        ("okonomiyaki sauce", "ソース"),
        ("spring\nonion", "ネギ"),
        ("Guided Grad-CAM", "Guided Grad-CAM"),
        ("is okonomiyaki,\npredicted as pizza", "お好み焼きを\nピザと判定"),
        ("a pizza with cheese,\nbasil and salami on an\niron griddle", "鉄板の、チーズ、バジルとサ\nラミのピザ"),
        ("is there salami?\n→ no", "サラミはありますか?\n→ いいえ"),
        ("weight $\\alpha_k$", "重み $\\alpha_k$"),
        ("cut from photographs: espresso CC0 by Ann Other", "写真の一部:エスプレッソ CC0 by Ann Other"),
    ],
)
def test_labels_in_japanese(english, wanted):
    assert japanese.say(english) == (wanted, [])


def test_no_word_is_translated_twice():
    assert not terms.WORDS.keys() & terms_of_methods.WORDS.keys()


def test_words_that_are_not_in_the_table_are_listed(folder, monkeypatch):
    monkeypatch.setenv("FIGURES_LANGUAGE", "ja")
    figure = plt.figure(figsize=(3, 2))
    figure.subplots().set(title="pizza and sushi", xlabel="epoch", ylabel="wasabi")
    plots.save_figure("a", figure, alt=SENTENCE)
    assert (folder / style.UNTRANSLATED).read_text(encoding="utf-8") == "a: wasabi, sushi\n"


def charts():
    """One figure of each kind, with every word that the charts and the kitchen bring."""
    figure, axes = plt.subplots(1, 5, figsize=(11, 2.5))
    scores, image = [0.6, 0.4], np.zeros((8, 8, 3), np.uint8)
    plots.case_row(axes, image, scores, np.ones((2, 2)), np.ones((8, 8, 3)), dishes.LABELS, "CC BY 2.0 by Ann Other")
    parts = [*dishes.ALL_PARTS, "background"]
    plots.share_bars(axes[4], dict.fromkeys(parts, 0.1), dict.fromkeys(parts, 0.1), most=len(parts))
    plots.heat_key(figure)
    plots.gradient_key(figure)
    yield figure
    yield plots.confusion_matrix(plt.figure().subplots(), [[9, 1], [2, 8]], dishes.LABELS).figure
    curves = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    yield plots.learning_curves({curve: [0.5, 0.4, 0.3] for curve in curves}, best_epoch=2)


def test_the_charts_own_labels_are_wholly_japanese_and_stay_so_when_drawn():
    for figure in charts():
        assert japanese.translate(figure) == []
        figure.canvas.draw()  # a sign that no font has is a warning, and so an error
        texts = "".join(text.get_text() for text in figure.findobj(plt.Text) if "CC BY" not in text.get_text())
        assert not re.findall("[A-Za-z]{2,}", re.sub("Guided Grad-CAM|Grad-CAM", "", texts))
        plt.close(figure)


def test_the_cheat_sheet_is_wholly_japanese():
    page = cheat_sheet.draw({"deletion\ngain": dict.fromkeys(methods.COLOURS, "0.5")}, "Deletion gain: 0.50")
    assert japanese.translate(page) == []
    cells = page.axes[0].tables[0].get_celld()
    assert [cells[place].get_text().get_text() for place in ((0, 8), (4, 5))] == ["削除での利得", "畳み込み層"]


def test_a_tables_cells_stay_cells_whatever_their_words():
    shown = plots.table(["a|b", "c"], [["d | e", "two\nlines"], [None, 0.5]]).data
    assert shown.splitlines() == ["| a\\|b | c |", "| --- | --- |", "| d \\| e | two lines |", "| None | 0.5 |"]
