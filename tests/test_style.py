"""How figures are stored: small, white stays white, and rewritten only where their pixels really changed."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from helpers import dishes, paths, plots
from helpers.plots.style import in_few_colours, shows

RNG = np.random.default_rng(0)
PHOTO = dishes.render("pizza", 3, 96).image


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("scale, dtype", [(255, np.uint8), (1, np.float32)])
def test_heat_lies_on_a_grey_copy(scale, dtype):
    """Red, green, blue and white by their brightness, lightened from [0, 1] to [0.25, 0.9]; on the figure, too."""
    image = (scale * np.array([[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]])).astype(dtype)
    brightness = [[0.44435, 0.63155], [0.3241, 0.9]]
    np.testing.assert_allclose(plots.grey(image), np.repeat(np.array(brightness)[..., None], 3, -1), atol=1e-7)
    axes = plt.figure().subplots()
    plots.show_heat(axes, np.ones((1, 1)), image=image)
    np.testing.assert_allclose(axes.images[0].get_array()[..., 0], brightness, atol=1e-7)


def test_a_map_over_a_picture_is_clear_at_zero_and_grows_opaque_and_its_key_shows_it_on_grey():
    figure, axes = plt.subplots()
    drawn = plots.show_heat(axes, np.array([[0.0, 0.25, 1]]), image=np.zeros((1, 3, 3)))
    colours = drawn.cmap(drawn.norm([0.0, 0.25, 1]))
    np.testing.assert_allclose(colours[:, 3], [0, 0.8 * 0.25**0.7, 0.8], atol=2e-3)
    np.testing.assert_allclose(colours[:, :3], plt.get_cmap("inferno")([0.0, 0.25, 1])[:, :3], atol=0.01)
    plots.heat_key(figure)
    key = figure.axes[-1]._colorbar.cmap([0.0, 1.0])[:, :3]
    np.testing.assert_allclose(key, [[0.575] * 3, 0.8 * colours[2, :3] + 0.2 * 0.575], atol=1e-6)


def test_drawings_keep_their_colours():
    flat = np.repeat(RNG.integers(0, 256, (4, 5, 3)), 8, axis=0)
    flat[:8] = 255
    stored = in_few_colours(png(flat))
    np.testing.assert_array_equal(pixels_of(stored), flat)
    assert Image.open(io.BytesIO(stored)).mode == "P"


def test_few_colours_stay_exact_and_greys_grey_however_alike():
    for count in (1, 2, 20, 191):
        greys = np.repeat(RNG.integers(0, count, (40, 50))[..., None] + 40, 3, axis=-1)
        np.testing.assert_array_equal(pixels_of(in_few_colours(png(greys))), greys)
    ramp = np.repeat(np.tile(np.arange(256), (20, 1))[..., None], 3, axis=-1)
    assert np.ptp(pixels_of(in_few_colours(png(ramp))), axis=-1).max() == 0
    assert np.abs(pixels_of(in_few_colours(png(ramp))) - ramp).max() <= 2


@pytest.mark.parametrize("colour", [[0, 255, 0], [0, 0, 255], [0, 255, 255], [200, 0, 200]])
def test_a_small_mark_on_a_photograph_keeps_its_colour(colour):
    with Image.open(paths.ROOT / "pictures" / "coffee.jpg") as photo:
        marked = np.array(photo.convert("RGB"))[:300, :400]
    marked[50:56, 50:56] = colour
    assert np.abs(pixels_of(in_few_colours(png(marked)))[50:56, 50:56] - colour).max() < 40


def test_photographs_come_near_their_shades_stay_smooth_and_white_stays_white():
    framed = np.pad(PHOTO, ((16, 16), (16, 16), (0, 0)), constant_values=255)
    stored = in_few_colours(png(framed))
    assert len(stored) < len(png(framed)) / 1.5
    assert (pixels_of(stored)[:16] == 255).all() and abs(pixels_of(stored) - framed).mean() < 4
    whitish = np.pad(RNG.integers(246, 256, (96, 96, 3)), ((16, 16), (16, 16), (0, 0)), constant_values=255)
    assert (pixels_of(in_few_colours(png(whitish)))[:16] == 255).all()
    shade = np.repeat(np.linspace(0, 255, 600)[None, :, None] * [1, 0.7, 0.4], 60, axis=0)  # 600 colours
    wide = np.concatenate([shade, np.broadcast_to(PHOTO[:60, :60], (60, 60, 3))], axis=1)
    error = ndimage.uniform_filter((pixels_of(in_few_colours(png(wide))) - wide)[:, :600], (4, 4, 0))
    assert np.abs(error).max() < 9


def test_heat_on_a_photograph_has_no_bands():
    figure, axes = plt.subplots(2, 2, figsize=(6, 6))
    for (left, right), name in zip(axes, ("coffee", "chelsea"), strict=True):
        with Image.open(paths.ROOT / "pictures" / f"{name}.jpg") as photo:
            image = np.array(photo.convert("RGB").resize((224, 224)))
        plots.show_image(left, image)
        plots.show_heat(right, RNG.random((7, 7)), image=image)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    pixels = pixels_of(drawn.getvalue())
    stored = pixels_of(in_few_colours(drawn.getvalue()))
    assert np.abs(stored - pixels).max() <= 5 and (stored[pixels == 255] == 255).all()
    assert len(in_few_colours(drawn.getvalue())) < len(drawn.getvalue()) / 1.5


@pytest.mark.parametrize("pixels", [PHOTO, np.repeat(np.repeat(RNG.integers(0, 2, (9, 9, 3)) * 255, 9, 0), 9, 1)])
def test_rounding_shows_the_same_and_a_changed_digit_does_not(pixels):
    stored = in_few_colours(png(pixels))
    assert shows(stored, in_few_colours(png(pixels + RNG.integers(-2, 3, pixels.shape))))
    changed = pixels.astype(int)
    changed[40:46, 50:52] += np.where(changed[40:46, 50:52] > 127, -90, 90)
    assert not shows(stored, in_few_colours(png(changed))) and not shows(stored, in_few_colours(png(pixels[:-1])))


def test_a_figure_is_rewritten_only_where_it_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    figure = plt.figure(figsize=(3, 1))

    def stored(title):
        figure.suptitle(title)
        plots.save_figure("one", figure, alt="a title")
        (file,) = paths.FIGURES.iterdir()
        assert file.name == "one.png"
        return file.read_bytes(), file.stat().st_mtime_ns

    first = stored("92.0 %")
    assert stored("92.0 %") == first
    assert stored("92.1 %")[0] != first[0]
