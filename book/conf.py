"""Sphinx' settings for the book. Stored outputs are shown, nothing is executed, nothing is asked of the internet."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import pages

project, author, copyright = "Where a network looks", "the project's authors", ""
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = ["README.md", *(pattern for patterns in pages.PARTS.values() for pattern in patterns)]
exclude_patterns = [".*", "build", "data", "runs", "saved", "**/.ipynb_checkpoints"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["book.css", str(MATHJAX)]
html_css_files = ["book.css"]
mathjax_path = MATHJAX.name
html_copy_source = False
html_theme_options = {"use_download_button": False, "use_fullscreen_button": False, "show_toc_level": 2}


def setup(app):
    app.connect("source-read", lambda app, name, source: source.__setitem__(0, pages.prepared(name, source[0])))
    app.connect("doctree-read", link_terms)
    app.connect("build-finished", begin_with_readme)


def begin_with_readme(app, error):
    if not error:
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def link_terms(app, doctree):
    """Link the first mention of each of the glossary's entries, in a notebook's prose, to the glossary."""
    if not app.env.docname.startswith("notebooks/"):
        return
    glossary = (Path(app.srcdir) / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = {term.lower(): terms for terms, _ in pages.entries(glossary) for term in terms}
    for text in [text for paragraph in doctree.findall(nodes.paragraph) for text in paragraph.findall(nodes.Text)]:
        if isinstance(text.parent, (nodes.paragraph, nodes.strong, nodes.emphasis)) and not _inside_link(text):
            _link(text, entries, app.env.docname)


def _inside_link(node):
    while node := node.parent:
        if isinstance(node, (nodes.reference, addnodes.pending_xref)):
            return True
    return False


def _link(text, entries, name):
    """Replace a text by itself with links; what is linked leaves `entries`, {name: all names of the entry}."""
    whole, parts, end = text.astext(), [], 0
    for start, stop, term in pages.first_mentions(whole, entries):
        if term not in entries:  # another name of the same entry came first
            continue
        link = addnodes.pending_xref("", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refdoc=name)
        link += nodes.inline("", whole[start:stop], classes=["std", "std-term"])
        parts += [nodes.Text(whole[end:start]), link]
        end = stop
        for other in entries[term]:
            del entries[other.lower()]
    text.parent.replace(text, [*parts, nodes.Text(whole[end:])])
