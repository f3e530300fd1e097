"""What the page shows: pictures with a title and a colour scale, and scores as bars; in HTML and as a figure."""

import html
import io
import textwrap

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from helpers import plots
from helpers.viewer import views

SHOWN = 400  # pixels; the width of each picture
SCALE = """<div style="background:linear-gradient(to right,{colours});height:10px;width:{width}px"></div>
<div style="display:flex;justify-content:space-between;width:{width}px;line-height:1.5">
<span>{low:.2g}</span><span>{middle}</span><span>{high:.2g}</span></div>
<div style="line-height:1.5">{words}</div>"""
BAR = """<div style="margin:8px 0"><div style="display:flex;justify-content:space-between;line-height:1.6">
<span style="font-weight:{weight}">{name}</span><span>{score:.1%}</span></div>
<div style="background:#8883;height:8px">
<div style="background:{colour};box-shadow:inset 0 0 0 1px #888;height:8px;width:{score:.1%}"></div></div>
</div>"""


class Panel:
    """A picture of the page, its title above and a line below; `box` is shown by the page."""

    def __init__(self):
        self.title, self.below = widgets.HTML(), widgets.HTML(layout={"width": f"{SHOWN}px"})
        self.picture = widgets.Image(format="png", width=SHOWN)
        self.box = widgets.VBox([self.title, self.picture, self.below])

    def show(self, title, pixels, below):
        """Show uint8 [H, W, 3] under a title; `below` is HTML."""
        self.picture.value = _png(pixels)
        self.title.value, self.below.value = f"<b>{html.escape(title)}</b>", below
        self.picture.layout.visibility = "visible"

    def clear(self):
        """Show nothing, but keep the place."""
        self.title.value = self.below.value = ""
        self.picture.layout.visibility = "hidden"


def scale_bar(view):
    """The colour scale of a `View`, and where it is strongest, as HTML."""
    colour_map, low, high = views.scale(view)
    shades = matplotlib.colormaps[colour_map](np.linspace(0, 1, 9))
    colours = ",".join(matplotlib.colors.to_hex(shade) for shade in shades)
    words = views.in_words(view).capitalize()
    return SCALE.format(colours=colours, width=SHOWN, low=low, middle=_meaning(low), high=high, words=words)


def _meaning(low):
    """What a colour scale that begins at `low` shows."""
    return "evidence for the class" if low == 0 else "against the class | for it"


def bars(scored):
    """Class probabilities [(name, score, whether it is explained)] as HTML."""
    return "<b>Probabilities</b>" + "".join(_bar(*row) for row in scored)


def _bar(name, score, explained):
    weight, colour = "bold" if explained else "normal", plots.CLASS_COLOURS.get(name, "#555555")
    return BAR.format(name=html.escape(name), score=score, weight=weight, colour=colour)


def sheet(shown, scored, credit, caption):
    """All of it as a Figure: the picture; maps [(title, View, overlay)] with colour scales; scores as for `bars`."""
    ratios = (*[1] * (1 + len(shown)), 0.8)
    figure, axes = plt.subplots(1, len(ratios), figsize=(plots.WIDTH, 8.4 / sum(ratios) + 1.3), width_ratios=ratios)
    plots.show_image(axes[0], shown[0][1].image, "what the network sees")
    plots.show_credit(axes[0], credit)
    for axis, (title, view, overlay) in zip(axes[1:], shown, strict=False):
        plots.show_image(axis, overlay, plots.literal(textwrap.fill(title, 28)))
        colour_map, low, high = views.scale(view)
        colours = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(low, high), colour_map)
        bar = figure.colorbar(colours, ax=axis, location="bottom", fraction=0.05, pad=0.02)
        bar.ax.tick_params(labelsize=8)
        bar.set_label(_meaning(low), fontsize=9, loc="left")  # on the right stands the power of ten, if there is one
        bar.ax.xaxis.get_offset_text().set_fontsize(8)
    names, scores, _ = zip(*scored, strict=True)
    plots.score_bars(axes[-1], scores, names, "probabilities")
    figure.supxlabel(textwrap.fill(caption, 130), fontsize=8, parse_math=False)
    return figure


def _png(pixels):
    """A picture, uint8 [H, W, 3], as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()
