"""How figures are stored: small, white stays white, and rewritten only where their pixels really changed."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers import dishes, paths, plots
from helpers.plots.style import SAME, in_256_colours, shows

RNG = np.random.default_rng(0)
PHOTO = dishes.render("pizza", 3, 96).image


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_few_colours_are_stored_as_they_are():
    flat = np.repeat(RNG.integers(0, 256, (4, 5, 3)), 8, axis=0)
    flat[:8] = 255
    np.testing.assert_array_equal(pixels_of(in_256_colours(png(flat))), flat)


def test_a_photo_comes_near_in_256_colours_and_its_white_stays_white():
    framed = np.pad(PHOTO, ((9, 9), (9, 9), (0, 0)), constant_values=255)
    stored = in_256_colours(png(framed))
    assert Image.open(io.BytesIO(stored)).mode == "P" and len(stored) < len(png(framed))
    assert (pixels_of(stored)[:9] == 255).all() and abs(pixels_of(stored) - framed).mean() < 6


def test_rounding_shows_the_same_and_one_changed_pixel_does_not():
    stored = in_256_colours(png(PHOTO))
    rounding = RNG.integers(-2, 3, PHOTO.shape)  # at most 3.5 of the SAME / 2 that are promised
    assert np.linalg.norm([2, 2, 2]) < SAME / 2
    assert shows(stored, png(PHOTO)) and shows(stored, png(PHOTO + rounding))
    changed = PHOTO.astype(int)
    changed[40, 50] += 60
    assert not shows(stored, png(changed)) and not shows(stored, png(PHOTO[:-1])) and not shows(png(PHOTO), png(PHOTO))


@pytest.fixture
def figures(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    return tmp_path / "figures"


def draw(title):
    figure = plt.figure(figsize=(3, 1))
    figure.suptitle(title)
    return plots.save_figure("one", figure)


def test_a_figure_is_rewritten_only_where_it_changed(figures):
    assert draw("92.0 %").get_suptitle() == "92.0 %"
    (stored,) = figures.iterdir()
    first, when = stored.read_bytes(), stored.stat().st_mtime_ns
    draw("92.0 %")
    assert stored.stat().st_mtime_ns == when
    draw("92.1 %")
    assert stored.read_bytes() != first and [path.name for path in figures.iterdir()] == ["one.png"]
