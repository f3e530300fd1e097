"""Notebook 11 in a real browser: JupyterLab on this machine, driven through a headless Chromium.

Needs `pip install playwright` (no browser is downloaded: Debian's is driven, `apt install chromium`); skipped without.
With SCREENSHOT=1 in the environment the page's picture is written to figures/, as the README shows it.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
from jupyter_server.serverapp import list_running_servers
from PIL import Image
from test_repository import NOTEBOOKS, relative_links

from helpers import paths, plots
from helpers.plots.style import in_few_colours

NOTEBOOK = "11_try_your_own.ipynb"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "data", "runs", "build", "saved", "__pycache__", ".*_cache")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = "A page with choices of picture, network, class and method; below, cat and cup, their Grad-CAM, and five scores."
MINUTE = 60_000  # in the browser's milliseconds
SETTINGS = {  # no questions about news, and cells that stay in the page when they are scrolled away
    "config/labconfig/page_config.json": {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
    "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
if not CHROMIUM:
    pytest.skip("needs a chromium on the PATH: apt install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """What the server says of itself that `make lab` starts in a copy of the project; "copy": where that lies."""
    home = tmp_path_factory.mktemp("lab")
    for file, settings in SETTINGS.items():
        (home / file).parent.mkdir(parents=True)
        (home / file).write_text(json.dumps(settings))
    shutil.copytree(paths.ROOT, home / "copy", ignore=LEFT_OUT)
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(home / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    places["IPYTHONDIR"] = str(home / "ipython")
    command = ["make", "-o", f"{sys.prefix}/installed", "lab", f"VENV={sys.prefix}"]
    command += ["ARGS=--no-browser --allow-root --ip=127.0.0.1"]
    options = {"cwd": home / "copy", "env": {**os.environ, **places}, "stderr": subprocess.STDOUT}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, start_new_session=True, **options)
    try:
        yield {**_running(server, home), "copy": home / "copy"}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _running(server, home, seconds=60):
    """What the server says of itself, port and token, once it listens."""
    for _ in range(2 * seconds):
        if about := next(list_running_servers(home / "runtime"), None):
            return about
        assert server.poll() is None, (home / "log").read_text()
        time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start in {seconds} seconds:\n{(home / 'log').read_text()}")


@pytest.fixture(scope="module")
def opened(lab):
    """A browser's page with the notebook open and no cell run."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        page = browser.new_page(viewport={"width": 1500, "height": 1300})
        page.set_default_timeout(MINUTE)
        page.goto(f"{lab['url']}lab/tree/notebooks/{NOTEBOOK}?token={lab['token']}")
        page.locator(".jp-Notebook").wait_for()
        yield page
        browser.close()


def test_the_server_begins_with_the_first_notebook_and_serves_every_link(lab):
    first = requests.get(lab["url"], params={"token": lab["token"]}, timeout=60)
    assert first.url.partition("?")[0].endswith("/lab/tree/notebooks/00_start_here.ipynb")
    served = {link.relative_to(paths.ROOT).as_posix() for path in NOTEBOOKS for link in relative_links(path)}
    asked = {"files": [name for name in served if (paths.ROOT / name).is_file()], "api/contents": served}
    for kind, names in asked.items():
        for name in names:
            answer = requests.get(f"{lab['url']}{kind}/{name}", params={"token": lab["token"]}, timeout=60)
            assert answer.ok, (kind, name)


def choose(page, text):
    """Choose the option whose line holds that text, once there is one."""
    option = page.locator("option", has_text=text)
    option.wait_for(state="attached", timeout=MINUTE)
    page.locator("select").filter(has=option).select_option(option.inner_text())


def pixels(page, index):
    """What the reader sees of one of the two pictures, int [H, W, 3]."""
    data = io.BytesIO(page.locator(".widget-image").nth(index).screenshot())
    return np.asarray(Image.open(data).convert("RGB")).astype(int)


def titled(page, title):
    """The pixels of the explanation, once it bears that title."""
    page.get_by_text(title, exact=True).wait_for(timeout=5 * MINUTE)
    page.wait_for_timeout(500)  # the picture follows its title in a message of its own
    return pixels(page, 1)


def differ(first, second):
    """Whether two pictures on the screen differ by more than one grey level on average."""
    return first.shape != second.shape or np.abs(first - second).mean() > 1


def test_stored_results_are_there_before_anything_runs(opened):
    opened.get_by_text("The page appears here when the notebook runs").wait_for()
    opened.locator(".jp-OutputArea-output img").first.wait_for()


def test_opening_changes_nothing(opened, lab):
    opened.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=5 * MINUTE)  # the kernel is up
    opened.wait_for_timeout(2000)  # its name and language are written into the notebook, where they are other ones
    assert opened.locator(".lm-TabBar-tab.jp-mod-dirty").count() == 0
    opened.keyboard.press("Control+s")
    opened.wait_for_timeout(2000)
    stored = lab["copy"] / "notebooks" / NOTEBOOK
    assert stored.read_bytes() == (paths.NOTEBOOKS / NOTEBOOK).read_bytes()


@pytest.fixture(scope="module")
def running(opened):
    """The same after Run All Cells, when the page shows its first explanation."""
    opened.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=5 * MINUTE)  # the kernel is up
    opened.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    opened.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    opened.get_by_text("Grad-CAM for Egyptian cat", exact=True).wait_for(timeout=5 * MINUTE)
    opened.locator(".widget-image").nth(1).scroll_into_view_if_needed()
    return opened


def test_a_figure_is_shown_once_with_its_text_alternative(running):
    """JupyterLab gives the pictures of other outputs none."""
    figure = running.locator('.jp-OutputArea-output img[alt^="Five methods for Egyptian cat"]')
    figure.first.wait_for(timeout=5 * MINUTE)
    assert figure.count() == 1 and figure.evaluate("picture => picture.naturalWidth") == 900


def test_the_network_on_photographs_finds_a_class_by_name(running):
    cat = titled(running, "Grad-CAM for Egyptian cat")
    if os.environ.get("SCREENSHOT"):
        page = running.locator(".jp-OutputArea-output", has=running.locator("select"))
        (paths.ROOT / "figures" / "11_try_your_own.png").write_bytes(in_few_colours(page.screenshot(), PAGE))
    running.get_by_text("CC0 by", exact=False).first.wait_for()
    running.get_by_placeholder("part of a name").fill("espresso")
    running.get_by_placeholder("part of a name").press("Enter")
    assert differ(cat, titled(running, "Grad-CAM for espresso"))


def test_the_shown_picture_follows_picture_network_class_and_method(running):
    choose(running, "both dishes")
    choose(running, "kitchen CNN")
    choose(running, "pizza · 11")  # its probability there: by it the new picture's choices are known
    pizza = titled(running, "Grad-CAM for pizza")
    choose(running, "okonomiyaki ·")
    okonomiyaki = titled(running, "Grad-CAM for okonomiyaki")
    assert differ(pizza, okonomiyaki)
    choose(running, "Guided Grad-CAM")
    assert differ(okonomiyaki, titled(running, "Guided Grad-CAM for okonomiyaki"))


def test_the_slider_goes_from_the_picture_to_the_map(running):
    shown = {}
    for key, strength in (("Home", "0%"), ("End", "100%")):
        running.locator(".noUi-handle").focus()
        running.keyboard.press(key)
        running.get_by_text(strength, exact=True).wait_for()
        shown[strength] = titled(running, "Guided Grad-CAM for okonomiyaki")
    picture = 255 * plots.grey(pixels(running, 0).astype(np.uint8))  # the map lies on a grey copy
    assert not differ(shown["0%"], picture) and differ(shown["0%"], shown["100%"])


def give(page, file):
    """Upload a file, as a reader does."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Your picture").click()
    chooser.value.set_files(file)


def test_pictures_are_taken_and_other_files_refused(running, tmp_path):
    (tmp_path / "letter.jpg").write_text("no picture")
    Image.new("RGB", (300, 200), "tomato").save(tmp_path / "lunch.png")
    before = running.locator(".widget-image").first.screenshot()
    said, offered = running.get_by_text("letter.jpg: no picture"), running.locator("option", has_text="lunch.png")
    for file, wanted, state in (("letter.jpg", said, "visible"), ("lunch.png", offered, "attached")):
        give(running, tmp_path / file)
        wanted.wait_for(state=state)
    running.wait_for_timeout(1000)
    assert running.locator(".widget-image").first.screenshot() != before


def test_the_same_upload_again_and_one_over_10_mb(running, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2200, 2200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=0)
    assert (tmp_path / "noise.png").stat().st_size > 14e6
    chosen = running.get_by_label("Picture", exact=True)
    for _ in range(2):
        choose(running, "both dishes")
        give(running, tmp_path / "noise.png")
        running.wait_for_function("select => select.value == 'noise.png'", arg=chosen.element_handle())


def test_enter_on_a_corrected_path_and_on_the_same_one(running, tmp_path):
    field, file = running.get_by_label("or its path", exact=True), tmp_path / "late.png"
    for name in ("lat.png", "late.png"):
        field.fill(f'"{tmp_path / name}"')
        field.press("Enter")
        running.get_by_text(f"{name}': correct its path", exact=False).wait_for()
    Image.new("RGB", (300, 200), "gold").save(file)
    field.press("Enter")
    running.locator("option", has_text="late.png").wait_for(state="attached")


def test_two_maps_are_side_by_side_and_saved(running, lab):
    choose(running, "both dishes")
    running.get_by_label("a second map beside it").check()
    first, second = running.locator(".widget-image").nth(1), running.locator(".widget-image").nth(2)
    second.wait_for()
    boxes = first.bounding_box(), second.bounding_box()
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["width"] == boxes[1]["width"] >= 400
    running.locator(".jupyter-button", has_text="Save").click()
    with running.expect_download() as download:
        running.get_by_text("Download it").click()
    stored = lab["copy"] / "saved" / download.value.suggested_filename
    assert stored.read_bytes() == download.value.path().read_bytes()


LABELS = ("Picture", "or its path", "Network", "or a file", "Pixels", "Class", "Search", "Method", "2nd class")


def test_the_labels_are_labels(running):
    for label in LABELS:
        assert running.get_by_label(label, exact=True).count() == 1, label
