"""What the page of notebook 11 consists of: labelled controls, a line for messages, panels; and where they stand."""

import os
from functools import partial
from urllib.parse import urlsplit
from urllib.request import url2pathname

import ipywidgets as widgets

from helpers import plots
from helpers.viewer import networks
from helpers.viewer.panels import Panel

LIKELIEST = -1  # in the choice of classes
WIDTH = {"layout": {"width": "370px"}, "style": {"description_width": "86px"}}
INDENTED = {"margin": "2px 2px 2px 96px"}
NOTE = '<div style="line-height:1.4;box-sizing:border-box;width:370px;padding-left:94px">{}</div>'
ERROR = """<div role="alert" style="background:#fdecea;color:#7a1c14;border-left:4px solid #c8352b;padding:6px 10px;
line-height:1.4">{text}</div>"""
UPLOADS = "up to {} MB; larger pictures by their path"


class Controls:
    """The widgets of the page by name, and `box`, which holds them all."""

    def __init__(self, picture_names, network_names):
        self._make_choices(picture_names, network_names)
        self._make_drawing()
        self._make_results()
        self.box = self._laid_out()

    def _make_choices(self, picture_names, network_names):
        choice, typed = partial(widgets.Dropdown, **WIDTH), partial(widgets.Text, continuous_update=False, **WIDTH)
        self.picture = choice(description="Picture", options=picture_names)
        self.upload = widgets.FileUpload(accept="image/*", description="Your picture", layout=INDENTED)
        self.path = typed(description="or its path", placeholder="path of a picture, then Enter")
        self.network = choice(description="Network", options=network_names)
        self.file = typed(description="or a file", placeholder=".keras or .h5 file, or runs/<name>")
        self.head = choice(description="Output")
        self.scaling = choice(description="Pixels", options=list(networks.SCALINGS))
        self.guess = widgets.HTML()
        self.class_index = choice(description="Class", options=[("the likeliest", LIKELIEST)])
        self.search = typed(description="Search", placeholder="part of a name, then Enter")
        self.method = choice(description="Method", options=list(networks.METHODS))

    def _make_drawing(self):
        ticked = partial(widgets.Checkbox, indent=False, layout=INDENTED)
        self.compare = ticked(description="a second map beside it")
        self.second_class = widgets.Dropdown(description="2nd class", **WIDTH)
        self.second_method = widgets.Dropdown(description="2nd method", **WIDTH)
        percent = {"min": 0, "max": 1, "step": 0.05, "readout_format": ".0%"}
        self.strength = widgets.FloatSlider(plots.OPACITY, description="Overlay", **percent, **WIDTH)
        self.follow = ticked(value=True, description="opacity follows the map")
        self.save = widgets.Button(description="Save", icon="save", layout=INDENTED)

    def _make_results(self):
        self._panels = [Panel() for _ in range(3)]
        self.seen, self.overlay, self.second = (panel.picture for panel in self._panels)
        self.titles = {panel.picture: panel.title for panel in self._panels}
        self.credit = self._panels[0].below
        self.message = widgets.HTML(layout={"min_height": "28px"})
        self.bars = widgets.HTML(layout={"width": "200px"})

    def _laid_out(self):
        limit = widgets.HTML(NOTE.format(UPLOADS.format(os.environ.get("UPLOAD_MB", 10))))
        left = [self.picture, self.upload, limit, self.path]
        left += [self.network, self.file, self.head, self.scaling, self.guess]
        self._comparing = widgets.VBox([self.second_class, self.second_method])
        right = [self.class_index, self.search, self.method, self.compare, self._comparing, self.strength, self.follow]
        side_by_side = {"flex_flow": "row wrap", "grid_gap": "6px 20px"}
        choices = widgets.HBox([widgets.VBox(left), widgets.VBox([*right, self.save])], layout=side_by_side)
        seen, *maps = (panel.box for panel in self._panels)
        maps = widgets.HBox(maps, layout={"grid_gap": "10px"})  # never one below the other
        results = widgets.HBox([seen, self.bars, maps], layout={**side_by_side, "grid_gap": "6px 10px"})
        return widgets.VBox([choices, self.message, results], layout={"padding": "10px 0", "grid_gap": "10px"})


def unquoted(path):
    """A path as it may be copied: within quotes, with spaces around, or as a file's address."""
    path = path.strip().strip("\"'“”„‘’«»")
    return url2pathname(urlsplit(path).path) if path.startswith("file:") else path
