"""The pictures that the page of notebook 11 offers: those that come along, and a reader's own."""

from functools import partial

from PIL import Image

from helpers import dishes, paths
from helpers.photos import builtin
from helpers.viewer import views

PICTURES = {  # name: how to get it; no network here was trained on these
    "cat and coffee (photographs)": partial(builtin.side_by_side, "chelsea", "coffee"),
    **{f"{label or name} (photograph)": partial(builtin.load, name) for name, label in builtin.SHOWS.items()},
    "both dishes (drawn)": partial(dishes.two_dishes, 116),
    "okonomiyaki (drawn)": partial(dishes.render, "okonomiyaki", 2018),
    "pizza (drawn)": partial(dishes.render, "pizza", 2018),
}


class Gallery:
    """Pictures by name."""

    def __init__(self):
        self._own = {}

    @property
    def names(self):
        return list(PICTURES | self._own)

    def take(self, name, data):
        """Add a picture file's bytes under its name, in place of an older one of that name. ValueError says why not."""
        self._own[name] = views.read_picture(data, name)

    def take_file(self, path):
        """Add the picture at a path, as a reader gives it, and return its name. FileNotFoundError, ValueError."""
        file = paths.given(path)
        if not file.is_file():
            raise FileNotFoundError(f"no picture file {path!r}: correct its path, then Enter")
        self.take(file.name, file.read_bytes())
        return file.name

    def open(self, name):
        """The picture (PIL, RGB) of that name and its credit."""
        if name in self._own:
            return self._own[name], ""
        made = PICTURES[name]()
        return Image.fromarray(made.image), getattr(made, "credit", "")
