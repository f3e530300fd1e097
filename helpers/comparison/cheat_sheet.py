"""Every method on one page: formula, cost, what it needs, its strong and weak points, what was measured."""

import textwrap

import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from helpers.comparison.methods import COLOURS

COLUMNS = {  # heading: width of the column, in pixels
    "method": 132,
    "formula": 170,
    "cost in\npasses": 78,
    "map": 62,
    "signed": 58,
    "needs": 112,
    "good for": 158,
    "weak points": 178,
}
MEASURED = 88  # width of a column with a score
KEY = (
    "x: picture; x₀: baseline; y: score; p: probability; A: feature map; α: a place's weight; m: mask; "
    "⊙: product of pixels; bar: mean"
)
CONVOLUTION, GRADIENT, ANYTHING = "a convolution,\ngradients", "gradients", "outputs only"
ROWS = {
    "Grad-CAM": (r"$\mathrm{ReLU}\,(\sum_k \overline{\partial y/\partial A^k}\;A^k)$", "1", "layer", "no", CONVOLUTION,
        "first look: which region,\nfor which class", "small things; layers\nfar from the end"),
    "Grad-CAM++": (r"$\sum_k (\sum_{ij} \alpha^k_{ij}\,\mathrm{ReLU}\,\partial y/\partial A^k_{ij})\;A^k$",
        "1", "layer", "no", CONVOLUTION,
        "several objects\nof one class", "telling classes apart:\nit drops negative gradients"),
    "LayerCAM": (r"$\sum_k \mathrm{ReLU}\,(\partial y/\partial A^k)\;A^k$", "1", "layer", "no", CONVOLUTION,
        "earlier, finer layers", "as Grad-CAM++"),
    "Score-CAM": (r"$\sum_k \mathrm{softmax}_k\, y(x \odot A^k)\;A^k$",
        "1 per\nchannel", "layer", "no", "a convolution",
        "networks without\na useful gradient", "many channels: slow;\nweights nearly equal"),
    "Guided Grad-CAM": ("Grad-CAM\n$\\times$ guided backprop.", "3", "picture", "yes", CONVOLUTION + ", ReLUs",
        "fine detail of\nthe right region", "networks without ReLUs"),
    "guided backprop.": ("$\\partial y/\\partial x$, back where\ninput, gradient $> 0$",
        "2", "picture", "yes", "gradients, ReLUs",
        "sharp edges of what\nexcites the network", "telling classes apart"),
    "deconvnet": ("$\\partial y/\\partial x$, back where\nthe gradient is $> 0$",
        "2", "picture", "yes", "gradients, ReLUs",
        "historical interest", "telling classes or\nnetworks apart"),
    "gradient": (r"$\partial y/\partial x$", "2", "picture", "yes", GRADIENT,
        "sensitivity: what a small\nchange would do", "noise; saturation"),
    "SmoothGrad": ("mean of $\\partial y/\\partial x$\nunder noise", "2 per\nsample", "picture", "yes", GRADIENT,
        "a gradient\nwith less noise", "depends on the noise"),
    "gradient × input": (r"$x \odot \partial y/\partial x$", "2", "picture", "yes", GRADIENT,
        "quick shares of a score", "dark pixels: always 0"),
    "Integrated Gradients": ("$(x-x_0) \\odot \\overline{\\partial y/\\partial x}$,\nfrom $x_0$ to $x$",
        "2 per\nstep", "picture", "yes", GRADIENT + ",\na baseline",
        "shares that add up\nto the score", "depends on the baseline;\nedges of everything"),
    "occlusion": ("$y(x) - y(x$,\nwindow covered$)$", "1 per\nwindow", "windows", "yes", ANYTHING,
        "a check without\ngradients", "large things;\nredundant evidence"),
    "RISE": ("mean of masks $m$\ntimes $p(x \\odot m)$", "1 per\nmask", "7 × 7\ngrid", "no", ANYTHING,
        "a black box, given time", "too few masks leave\ntheir own pattern"),
}  # fmt: skip


def _dark(colour):
    """The same hue, dark enough to be read on white."""
    return tuple(0.75 * part for part in to_rgb(colour))


def draw(measured, note):
    """The page as a Figure, as wide as A4 across. measured: {heading: {method: text}}, more columns to the right;
    note: a line below the table."""
    widths = [*COLUMNS.values(), *[MEASURED] * len(measured)]
    figure, axes = plt.subplots(figsize=(11.7, 7.2))
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.1)
    axes.axis("off")
    scores = {method: [values[method] for values in measured.values()] for method in ROWS}
    cells = [[textwrap.fill(method, 16), *row, *scores[method]] for method, row in ROWS.items()]
    shares = [width / sum(widths) for width in widths]
    page = axes.table(cells, colLabels=[*COLUMNS, *measured], colWidths=shares, cellLoc="left", bbox=(0, 0, 1, 1))
    page.auto_set_font_size(False)
    page.set_fontsize(8.2)
    for (row, column), cell in page.get_celld().items():
        cell.set(edgecolor="#cccccc", facecolor="#f2f2f2" if row == 0 else "white")
        cell.PAD = 0.04
        if row == 0 or column == 0:
            cell.set_text_props(weight="bold", color=_dark(list(COLOURS.values())[row - 1]) if row else "black")
        elif column == 1:
            cell.set_text_props(size=9.5)
    title = "Where does the network look? Thirteen methods on one page"
    figure.suptitle(title, x=0.013, ha="left", size=14, weight="bold")
    figure.supxlabel(f"{KEY}\n{note}", x=0.987, ha="right", fontsize=8.2)
    return figure
