"""Notebook 11 in a real browser: JupyterLab on this machine, driven through a headless Chromium.

Needs `pip install playwright` (no browser is downloaded: Debian's is driven, `apt install chromium`); skipped without.
With SCREENSHOT=1 in the environment the page's picture is written to figures/, as the README shows it.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from jupyter_server.serverapp import list_running_servers
from PIL import Image

from helpers import paths
from helpers.plots.style import in_256_colours

NOTEBOOK = "11_try_your_own.ipynb"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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
    """The address of a JupyterLab that serves a copy of the notebook from a temporary folder."""
    home = tmp_path_factory.mktemp("lab")
    for file, settings in SETTINGS.items():
        (home / file).parent.mkdir(parents=True)
        (home / file).write_text(json.dumps(settings))
    (home / "notebooks").mkdir()
    shutil.copy(paths.NOTEBOOKS / NOTEBOOK, home / "notebooks")
    (home / "weights").symlink_to(paths.WEIGHTS)
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(home / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    places["IPYTHONDIR"] = str(home / "ipython")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={home / 'notebooks'}"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=subprocess.STDOUT)
    try:
        about = _running(server, home)
        yield f"{about['url']}doc/tree/{NOTEBOOK}?token={about['token']}"
    finally:
        server.terminate()
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
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1000, "height": 1000}, device_scale_factor=1.25)
        page.set_default_timeout(MINUTE)
        page.goto(lab)
        page.locator(".jp-Notebook").wait_for()
        yield page
        browser.close()


def choose(page, text):
    """Choose the option whose line holds that text, once there is one."""
    option = page.locator("option", has_text=text)
    option.wait_for(state="attached", timeout=MINUTE)
    page.locator("select").filter(has=option).select_option(option.inner_text())


def pixels(page, index):
    """What the reader sees of one of the two pictures, int [H, W, 3]."""
    data = page.locator(".widget-image").nth(index).screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


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


@pytest.fixture(scope="module")
def running(opened):
    """The same after Run All Cells, when the page shows its first explanation."""
    opened.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=5 * MINUTE)  # the kernel is up
    opened.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    opened.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    opened.get_by_text("Grad-CAM for Egyptian cat", exact=True).wait_for(timeout=5 * MINUTE)
    opened.locator(".widget-image").nth(1).scroll_into_view_if_needed()
    return opened


def test_the_network_on_photographs_finds_a_class_by_name(running):
    cat = titled(running, "Grad-CAM for Egyptian cat")
    if os.environ.get("SCREENSHOT"):
        page = running.locator(".jp-OutputArea-output", has=running.locator("select"))
        (paths.ROOT / "figures" / "11_try_your_own.png").write_bytes(in_256_colours(page.screenshot()))
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
    assert not differ(shown["0%"], pixels(running, 0)) and differ(shown["0%"], shown["100%"])


def test_pictures_are_taken_and_other_files_refused(running, tmp_path):
    (tmp_path / "letter.jpg").write_text("no picture")
    Image.new("RGB", (300, 200), "tomato").save(tmp_path / "lunch.png")
    before = running.locator(".widget-image").first.screenshot()
    said, offered = running.get_by_text("letter.jpg: no picture"), running.locator("option", has_text="lunch.png")
    for file, wanted, state in (("letter.jpg", said, "visible"), ("lunch.png", offered, "attached")):
        with running.expect_file_chooser() as chooser:
            running.get_by_role("button", name="Your picture").click()
        chooser.value.set_files(tmp_path / file)
        wanted.wait_for(state=state)
    running.wait_for_timeout(1000)
    assert running.locator(".widget-image").first.screenshot() != before
