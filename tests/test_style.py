"""How figures are stored: small, white stays white, and rewritten only where their pixels really changed."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers import dishes, paths, plots
from helpers.plots.style import compact, shows

RNG = np.random.default_rng(0)
PHOTO = dishes.render("pizza", 3, 96).image


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_drawings_keep_their_colours_as_png():
    flat = np.repeat(RNG.integers(0, 256, (4, 5, 3)), 8, axis=0)
    flat[:8] = 255
    suffix, data = compact(png(flat))
    np.testing.assert_array_equal(pixels_of(data), flat)
    assert suffix == ".png" and Image.open(io.BytesIO(data)).mode == "P"


def test_photographs_become_jpeg_and_their_white_stays_white():
    framed = np.pad(PHOTO, ((16, 16), (16, 16), (0, 0)), constant_values=255)
    suffix, data = compact(png(framed))
    assert suffix == ".jpg" and len(data) < len(png(framed)) / 2
    assert (pixels_of(data)[:8] == 255).all() and abs(pixels_of(data) - framed).mean() < 4


@pytest.mark.parametrize("pixels", [PHOTO, np.repeat(np.repeat(RNG.integers(0, 2, (9, 9, 3)) * 255, 9, 0), 9, 1)])
def test_rounding_shows_the_same_and_a_changed_digit_does_not(pixels):
    stored = compact(png(pixels))[1]
    assert shows(stored, compact(png(pixels + RNG.integers(-2, 3, pixels.shape)))[1])
    changed = pixels.astype(int)
    changed[40:46, 50:52] += np.where(changed[40:46, 50:52] > 127, -90, 90)
    assert not shows(stored, compact(png(changed))[1]) and not shows(stored, compact(png(pixels[:-1]))[1])


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
    plots.save_figure("one", plots.show_grid([PHOTO], columns=1, size=3))
    assert [path.name for path in figures.iterdir()] == ["one.jpg"]
