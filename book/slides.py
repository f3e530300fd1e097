"""Notebooks as slides: build/slides/<notebook>.html by the table in decks.py; all that they load lies beside them.

python book/slides.py
"""

import html
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from decks import DECKS, find, heading_above, pictures, text
from jinja2 import Template
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pages import NO_ALT, ROOT
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

HERE = Path(__file__).resolve().parent
SITE = ROOT / "build" / "slides"
REVEAL = Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"
PICTURE = re.compile(r"^!\[.*\]\(.*\)$", re.MULTILINE)  # of the text: repeats a figure that a cell draws


def main():
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(REVEAL / "dist", SITE / "reveal", ignore=shutil.ignore_patterns("theme", "*.map", "*.esm.js"))
    for file in (MATHJAX, HERE / "slides.css"):
        shutil.copy(file, SITE)
    template = Template((HERE / "slides.html").read_text(encoding="utf-8"))
    code = HtmlFormatter(style="friendly").get_style_defs(".code")
    for name, deck in DECKS.items():
        cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        slides = [slide(cells, items) for items in deck]
        (SITE / f"{name}.html").write_text(template.render(title=name, slides=slides, code=code), encoding="utf-8")
        print(f"build/slides/{name}.html: {len(slides)} slides")


def slide(cells, items):
    """[(kind, HTML)] of one slide's parts, below the nearest heading above them where they bring none."""
    parts = [shown(cells, item) for item in items]
    kind, first = parts[0]
    if kind != "whole" and not first.startswith("<h"):
        parts.insert(0, ("text", f"<h2>{reader().renderInline(heading_above(cells, items[0]))}</h2>"))
    return parts


def shown(cells, item):
    """(Kind, HTML) of one item: "text", "listing", "output", or "whole" for a figure that fills the slide."""
    cell = cells[find(cells, item)]
    if cell["cell_type"] == "markdown":
        return "text", reader().render(PICTURE.sub("", text(cells, item)))
    # beside its figure, what a cell prints is left out
    outputs = "".join(output_html(output) for output in pictures(cell) or cell["outputs"])
    if item[0] not in "+=":
        return "whole" if item[0] == "!" else "output", outputs
    source = highlight("".join(cell["source"]), PythonLexer(), HtmlFormatter(cssclass="code"))
    return "listing", source + (outputs if item[0] == "+" else "")


def output_html(output):
    """A stored output as HTML: a figure with its text alternative, a table, or what was printed."""
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    if "image/png" in data:
        alt = html.escape(output["metadata"].get("image/png", {}).get("alt", NO_ALT))
        return f'<img alt="{alt}" src="data:image/png;base64,{"".join("".join(data["image/png"]).split())}">'
    if "text/markdown" in data:
        return reader().render("".join(data["text/markdown"]))
    return f"<pre>{html.escape(''.join(output.get('text') or data['text/plain']))}</pre>"


def reader():
    """Markdown to HTML: formulas for MathJax; links as plain words, because a projector shows no other page."""
    markdown = MarkdownIt("commonmark").enable("table")
    for rule in ("link_open", "link_close"):
        markdown.add_render_rule(rule, lambda *_: "")
    return markdown.use(dollarmath_plugin, renderer=formula)


def formula(tex, about):
    left, right = ("\\[", "\\]") if about["display_mode"] else ("\\(", "\\)")
    return left + html.escape(tex) + right


if __name__ == "__main__":
    main()
