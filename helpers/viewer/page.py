"""The page of notebook 11: a picture, a network, a class and a method to choose, and what comes of it."""

import html
import io
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from helpers import dishes, plots
from helpers.photos import builtin
from helpers.viewer import networks, views

PICTURES = {  # name: how to get it; no network here was trained on these
    "cat and coffee (photographs)": partial(builtin.side_by_side, "chelsea", "coffee"),
    **{f"{label or name} (photograph)": partial(builtin.load, name) for name, label in builtin.SHOWS.items()},
    "both dishes (drawn)": partial(dishes.two_dishes, 116),
    "okonomiyaki (drawn)": partial(dishes.render, "okonomiyaki", 2018),
    "pizza (drawn)": partial(dishes.render, "pizza", 2018),
}
SHOWN = 264  # pixels; the width of each picture
MOST_BARS = 5
LIKELIEST = -1  # in the choice of classes
BAR = """<div style="margin:8px 0"><div style="display:flex;justify-content:space-between;line-height:1.6">
<span style="font-weight:{weight}">{name}</span><span>{score:.1%}</span></div>
<div style="background:#8883;height:8px"><div style="background:{colour};height:8px;width:{score:.1%}"></div></div>
</div>"""
ERROR = """<div style="background:#fdecea;color:#7a1c14;border-left:4px solid #c8352b;padding:6px 10px;line-height:1.4">
{text}</div>"""
ALL_ZERO = "The map is zero everywhere: this method finds no evidence in the picture for this class."


class Page:
    """`page = Page()`, shown by a notebook as widgets; `page.view` is what it explains (a `views.View`, or None).

    picture: the path of a picture to begin with; model: a network as `networks.open_network` takes it. What cannot be
    read or explained is said in the page.
    """

    def __init__(self, picture=None, model=None):
        self._reacting, self.view = False, None
        self._pictures, self._networks = dict(PICTURES), dict.fromkeys(networks.shipped())
        self._make_widgets()
        self.box = self._laid_out()
        self._image = self._chosen_picture()
        self._react(self._choose_network)
        if model:
            self.file.value = str(model)
        if picture:
            self._react(self._open_picture, Path(picture))

    def _make_widgets(self):
        self.picture = widgets.Dropdown(options=list(self._pictures))
        self.upload = widgets.FileUpload(accept="image/*", description="Your picture")
        self.network = widgets.Dropdown(options=list(self._networks))
        self.file = widgets.Text(placeholder="path of a .keras or .h5 file, then Enter", continuous_update=False)
        self.scaling = widgets.Dropdown(options=list(networks.SCALINGS))
        self.search = widgets.Text(placeholder="part of a name, then Enter", continuous_update=False)
        self.class_index = widgets.Dropdown(options=[("the likeliest", LIKELIEST)])
        self.method = widgets.Dropdown(options=list(networks.METHODS))
        self.strength = widgets.FloatSlider(value=0.55, min=0, max=1, step=0.05, readout_format=".0%")
        self.message = widgets.HTML()
        self.seen, self.overlay = (widgets.Image(format="png", width=SHOWN) for _ in range(2))
        self.bars = widgets.HTML(layout={"width": "200px"})
        self.credit = widgets.HTML(layout={"width": f"{SHOWN}px"})
        self.titles = {picture: widgets.HTML() for picture in (self.seen, self.overlay)}
        reactions = {self.picture: self._choose_picture, self.upload: self._choose_upload, self.file: self._choose_file}
        reactions |= {self.network: self._choose_network, self.scaling: self._choose_scaling}
        reactions |= {self.search: self._search_class}
        reactions |= {self.class_index: self._explain, self.method: self._explain, self.strength: self._draw}
        for control, reaction in reactions.items():
            control.observe(lambda change, reaction=reaction: self._react(reaction), "value")

    def _laid_out(self):
        left = _column({"Picture": self.picture, "": self.upload, "Network": self.network, "add a file": self.file})
        asked = {"Class": self.class_index, "search": self.search, "Method": self.method}
        asked |= {"Overlay": self.strength, "Pixels": self.scaling}
        panels = [widgets.VBox([title, picture]) for picture, title in self.titles.items()]
        panels[0].children += (self.credit,)
        side_by_side = {"flex_flow": "row wrap", "grid_gap": "6px 24px"}
        choices = widgets.HBox([left, _column(asked)], layout=side_by_side)
        results = widgets.HBox([*panels, self.bars], layout=side_by_side)
        return widgets.VBox([choices, self.message, results], layout={"padding": "12px", "grid_gap": "10px"})

    def _react(self, reaction, *arguments):
        """React to a choice, but not to those that a reaction makes; why it cannot be done stands in the page."""
        if self._reacting:
            return
        self._reacting = True
        try:
            reaction(*arguments)
        except Exception as error:  # the page stays alive; expected errors say what to do, others at least their kind
            kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
            self.message.value = ERROR.format(text=html.escape(f"{kind}{error}"))
        finally:
            self._reacting = False
        self.overlay.layout.visibility = "visible" if self.view else "hidden"

    def _chosen_picture(self):
        chosen = self._pictures[self.picture.value]
        if isinstance(chosen, Image.Image):
            self.credit.value = ""
            return chosen
        chosen = chosen()
        self.credit.value = getattr(chosen, "credit", "")
        return Image.fromarray(chosen.image)

    def _choose_picture(self):
        self._image = self._chosen_picture()
        self._explain()

    def _choose_upload(self):
        uploaded = self.upload.value[-1]
        self._add_picture(uploaded["name"], bytes(uploaded["content"]))

    def _open_picture(self, path):
        self._add_picture(path.name, path.expanduser().read_bytes())

    def _add_picture(self, name, data):
        try:
            self._pictures[name] = views.read_picture(data)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.picture.options, self.picture.value = list(self._pictures), name
        self._choose_picture()

    def _choose_file(self):
        name = self.file.value.strip()
        self._networks[name] = networks.open_network(name)
        self.network.options, self.network.value, self.file.value = list(self._networks), name, ""
        self._choose_network()

    def _choose_network(self):
        name, self.view = self.network.value, None
        network = self._networks[name] = self._networks[name] or networks.open_network(name)
        method, self.method.options = self.method.value, list(network.methods)
        self.method.value = method if method in network.methods else self.method.options[0]
        self.search.value, self.class_index.value = "", LIKELIEST
        self.scaling.value, self.scaling.disabled = network.scaling, name in networks.SHIPPED
        self._explain()

    def _choose_scaling(self):
        self._networks[self.network.value].scaling = self.scaling.value
        self._explain()

    def _search_class(self):
        found, word = self._matching(), self.search.value
        if not found:
            self.search.value = ""
            raise ValueError(f"no class of this network is called {word!r}: try part of an English name, such as 'cat'")
        self.class_index.options = [*self.class_index.options[:1], (self._scored[found[0]][0], found[0])]
        self.class_index.value = found[0] if word else LIKELIEST
        self._explain()

    def _matching(self):
        """The indices of the classes whose name holds what is searched for, likeliest first."""
        word = self.search.value.strip().casefold()
        return [index for index, (name, _) in self._scored.items() if word in name.casefold()]

    def _explain(self):
        network, self.view = self._networks[self.network.value], None
        if network is None:
            return self._choose_network()  # it could not be opened before
        self.message.value = "…"
        self._score(network)
        self.view = views.look(network, self._image, self.method.value, self.explained)
        self.message.value = "" if np.any(self.view.raw) else ALL_ZERO
        self._draw()

    @property
    def explained(self):
        """The index of the class that is explained: the chosen one, else the likeliest."""
        chosen = self.class_index.value
        return int(self.probabilities.argmax()) if chosen == LIKELIEST else chosen

    def _score(self, network):
        """Show the picture as `network` sees it, and the class probabilities, which the choice of classes names too."""
        pixels = network.pixels(self._image)
        self.probabilities = views.probabilities(network, self._image)
        order = np.argsort(-self.probabilities, kind="stable").tolist()
        self._scored = {index: (network.class_name(index), float(self.probabilities[index])) for index in order}
        named = [("{} · {:.1%}".format(*self._scored[index]), index) for index in self._matching()]
        wanted = self.class_index.value
        self.class_index.options = [(f"the likeliest: {self._scored[order[0]][0]}", LIKELIEST), *named]
        self.class_index.value = wanted
        self.seen.value = _png(np.broadcast_to(pixels, (*network.size, 3)))
        self.titles[self.seen].value = f"<b>What the network sees</b> ({network.size[0]} × {network.size[1]})"
        self.bars.value = "<b>Its scores</b>" + "".join(self._bar(index) for index in order[:MOST_BARS])

    def _bar(self, index):
        name, score = self._scored[index]
        weight, colour = "bold" if index == self.explained else "normal", plots.CLASS_COLOURS.get(name, "#555555")
        return BAR.format(name=html.escape(name), score=score, weight=weight, colour=colour)

    def _draw(self):
        if self.view:
            self.overlay.value = _png(views.overlay(self.view, self.strength.value))
            self.titles[self.overlay].value = f"<b>{html.escape(self._title())}</b>"

    def _title(self):
        return f"{self.method.value} for {self._scored[self.explained][0]}"

    def _repr_mimebundle_(self, **kwargs):
        """The widgets, and for readers without a kernel a line of text."""
        instead = "The page appears here when the notebook runs; what it showed last is below."
        return {**self.box._repr_mimebundle_(**kwargs), "text/plain": instead}

    def figure(self):
        """What the page shows as an ordinary Figure. Raises ValueError where the page explains nothing."""
        if not self.view:
            raise ValueError("the page shows no explanation; its message says why")
        figure, axes = plt.subplots(1, 3, figsize=(plots.WIDTH, 3.2), width_ratios=(1, 1, 0.8))
        plots.show_image(axes[0], self.view.image, "what the network sees")
        axes[0].set_xlabel(self.credit.value, fontsize=8)
        plots.show_image(axes[1], views.overlay(self.view, self.strength.value), self._title())
        names, scores = zip(*list(self._scored.values())[:MOST_BARS], strict=True)
        plots.score_bars(axes[2], scores, names, "its scores")
        return figure


def _column(controls):
    """Labelled controls, {label: control}, one below the other."""
    labels = (widgets.Label(label, layout={"width": "76px"}) for label in controls)
    return widgets.VBox([widgets.HBox(row) for row in zip(labels, controls.values(), strict=True)])


def _png(pixels):
    """A picture, uint8 [H, W, 3], as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()
