"""The book and the slides: how their pages are prepared, the check of their links, and the built sites.

The sites are built, and opened in a browser, only where `make book` has made its environment; tests install nothing.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from test_repository import relative_links

from helpers import paths

sys.path.insert(0, str(paths.ROOT / "book"))
import check
import decks
import pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GLOSSARY = (paths.ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
DARKEST = 60  # of 255: the background of a dark page


def test_every_page_is_in_the_book_once():
    names = [name for part in pages.contents().values() for name in part]
    written = [*paths.NOTEBOOKS.rglob("[0-9]*.ipynb"), *paths.ROOT.glob("docs/*.md"), paths.ROOT / "TEACHING.md"]
    assert {path.relative_to(paths.ROOT).with_suffix("").as_posix() for path in written} <= set(names)
    assert len(names) == len(set(names))
    assert all(f"\n{name}\n" in pages.prepared("README", "# A title\n") for name in names)


def test_links_to_folders_lead_to_a_page():
    given = "[a](weights), [b](notebooks/solutions/), [c](LICENSE), [d](https://x.y)"
    text = pages.with_pages_for_folders("README", given)
    first = "notebooks/solutions/00_start_here_solutions.ipynb"
    assert text == f"[a](weights/README.md), [b]({first}), [c](LICENSE), [d](https://x.y)"


def test_the_glossary_becomes_a_directive():
    text = "# Words\n\n* **map**, **heat map**: A picture of *scores*.\n* **ReLU**: A function.\n\n## More\n"
    assert pages.entries(text) == [(["map", "heat map"], "A picture of *scores*."), (["ReLU"], "A function.")]
    wanted = "```{glossary}\nmap\nheat map\n  A picture of *scores*.\n\nReLU\n  A function.\n\n```\n"
    assert pages.as_glossary(text) == f"# Words\n\n{wanted}\n## More\n"


def test_glossary_entries_are_one_sentence_each_and_in_order():
    listed = pages.entries(GLOSSARY)
    assert len(listed) == GLOSSARY.count("\n* ") > 50
    names = [name.lower() for terms, _ in listed for name in terms]
    assert len(names) == len(set(names))
    assert not [text for _, text in listed if not text.endswith(".") or ". " in text]
    for section in GLOSSARY.split("\n## ")[1:]:
        first = [terms[0].lower().replace("-", " ") for terms, _ in pages.entries(section)]
        assert first == sorted(first), section.splitlines()[0]


def test_a_term_is_linked_where_it_first_stands_alone():
    terms = {"map", "feature map", "loss", "class"}
    text = "Lossless feature Maps, classes, a map; the map-maker's losses and feature maps."
    found = pages.first_mentions(text, terms)
    assert [(text[start:stop], term) for start, stop, term in found] == [
        ("feature Maps", "feature map"), ("classes", "class"), ("map", "map"), ("losses", "loss"),
    ]  # fmt: skip
    assert pages.first_mentions(text, set()) == []


def test_stored_text_alternatives_reach_the_page():
    png = {"data": {"image/png": "x"}, "metadata": {"image/png": {"alt": "A cat."}}}
    bare = {"data": {"image/png": "y"}, "metadata": {}}
    cells = [{"metadata": {}, "outputs": outputs} for outputs in ([png], [bare], [])]
    given = json.loads(pages.prepared("notebooks/00", json.dumps({"cells": cells})))["cells"]
    assert [cell["metadata"].get("mystnb") for cell in given] == [
        {"image": {"alt": "A cat."}}, {"image": {"alt": pages.NO_ALT}}, None,
    ]  # fmt: skip


def test_the_check_tells_what_is_broken(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a> <img src="p.png" alt="A cat."> <a href="https://x.y">z</a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">x</h1><a href="a.html">back</a>')
    (tmp_path / "p.png").write_bytes(b"")
    assert check.problems(tmp_path) == ([], 4, 0)
    wrong = (
        '<a href="c.html">x</a> <a href="b.html#gone">x</a> <img src="p.png"> <script src="https://x.y/z.js"></script>'
    )
    (tmp_path / "a.html").write_text(wrong)
    assert [line.rsplit(": ", 1)[1] for line in check.problems(tmp_path)[0]] == [
        "no such file", "no such place on that page", "asks the internet for it", "no text alternative",
    ]  # fmt: skip


@pytest.mark.parametrize("name", decks.DECKS)
def test_a_deck_shows_cells_that_are_there(name):
    cells = json.loads((paths.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert 8 <= len(decks.DECKS[name]) <= 20
    for item in [item for items in decks.DECKS[name] for item in items]:
        cell = cells[decks.find(cells, item)]
        if cell["cell_type"] == "markdown":
            prose = [line for line in decks.text(cells, item).splitlines() if "|" not in line]
            assert item[0] not in "+=!" and 3 <= len(" ".join(prose).split()) <= 130, item
        elif item[0] == "!":
            assert decks.pictures(cell), item
        else:
            assert cell["outputs"] or item[0] == "=", item


def test_parts_of_cells_are_found():
    source = "Before.\n\n## One\n\nFirst.\n\nSecond.\n\n## Two\n\nThird."
    cells = [
        {"id": "a", "cell_type": "markdown", "source": "# Title"},
        {"id": "b", "cell_type": "markdown", "source": source},
    ]
    assert decks.text(cells, "b") == source
    assert decks.text(cells, "b.1:2") == "## One\n\nFirst."
    assert [decks.heading_above(cells, item) for item in ("b.0", "b.1", "b.2")] == ["Title", "Title", "One"]
    for item, told in (("c", "no cell 'c'"), ("b.3", "3 sections")):
        with pytest.raises(LookupError, match=told):
            decks.text(cells, item)


def test_lesson_plans_lead_to_what_is_there():
    plans = paths.ROOT / "TEACHING.md"
    assert not [link for link in relative_links(plans) if not link.exists()]
    lessons = plans.read_text(encoding="utf-8").split("\n## ")
    for name, deck in decks.DECKS.items():
        lesson = next(text for text in lessons if f"({'notebooks/' + name}.ipynb)" in text.splitlines()[2])
        rows = re.findall(r"^\| (\d+)(?:–(\d+))? \| (\d+) \|", lesson, re.MULTILINE)
        numbers = [int(number) for *pair, _ in rows for number in pair if number]
        assert numbers == sorted(numbers) and numbers[0] == 1 and numbers[-1] == len(deck), name
        assert sum(int(minutes) for *_, minutes in rows) == 45, name


@pytest.fixture(scope="module")
def build():
    """build/, with the book and the slides made anew."""
    if not (paths.ROOT / "build" / "book-env" / "installed").exists():
        pytest.skip("the book's environment is not there: make book")
    done = subprocess.run(["make", "book", "slides"], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return paths.ROOT / "build"


def test_the_books_links_and_alternatives(build):
    told, checked, _ = check.problems(build / "book")
    assert told == [] and checked > 2000
    opening = check.Page(build / "book" / "index.html").alternatives
    assert any(alt.startswith("A picture, half cat, half coffee.") for _, alt in opening)
    grad_cam = check.Page(build / "book" / "notebooks" / "03_grad_cam.html")
    assert ("a", "href", "../docs/glossary.html#term-feature-map") in grad_cam.links


@pytest.fixture(scope="module")
def browser(build):
    """A browser's page, and the addresses that it asks of the internet."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if not CHROMIUM:
        pytest.skip("needs a chromium on the PATH: apt install chromium")
    with driver.sync_playwright() as running:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        page, asked = opened.new_page(viewport={"width": 1280, "height": 720}), []
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
        yield page, asked
        opened.close()


def test_the_book_in_a_browser(browser, build):
    page, asked = browser
    page.goto((build / "book" / "notebooks" / "03_grad_cam.html").as_uri())
    page.locator("mjx-container").first.wait_for()
    page.locator("a.std-term, a:has(.std-term)").first.click()
    assert "glossary.html#term-" in page.url
    page.go_back()
    page.locator("a.right-next").click()
    assert page.url.endswith("03b_grad_cam_measured.html")
    page.emulate_media(color_scheme="dark")  # the page follows the system's choice
    page.reload()
    page.wait_for_function(f"parseInt(getComputedStyle(document.body).backgroundColor.slice(4)) < {DARKEST}")
    page.goto((build / "book" / "search.html").as_uri() + "?q=receptive+field")
    page.locator("#search-results a[href*='glossary.html#term-receptive-field']").first.wait_for()
    assert asked == []


OUTSIDE = """() => [...document.querySelectorAll('section.present *:not(mjx-container *)')].some(part => {
    const box = part.getBoundingClientRect();
    return box.width && (box.bottom > 721 || box.right > 1281);
})"""


@pytest.mark.parametrize("name", decks.DECKS)
def test_nothing_stands_outside_a_slide(browser, build, name):
    page, asked = browser
    page.goto((build / "slides" / f"{name}.html").as_uri())
    page.evaluate("MathJax.startup.promise")
    outside = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        outside += [number + 1] if page.evaluate(OUTSIDE) else []
    assert outside == [] and asked == []
