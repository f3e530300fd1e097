"""The book's pages: which files they are, and what is done to their text on the way in. Needs nothing but Python."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {  # the book's table of contents
    "Notebooks": ["notebooks/[0-9]*.ipynb"],
    "More": ["docs/*.md", "TEACHING.md", "weights/*.md", "benchmarks/README.md", "helpers/README.md"],
    "Solutions": ["notebooks/solutions/[0-9]*.ipynb"],
}
ENTRY = re.compile(r"^\* ((?:\*\*[^*]+\*\*(?:, )?)+): (.+)\n?", re.MULTILINE)
ENTRIES = re.compile(rf"(?:{ENTRY.pattern})+", re.MULTILINE)
NO_ALT = "No text alternative is stored for this figure."


def contents():
    """The book's table of contents, {part: names of pages, without their endings}."""
    return {part: [name for pattern in patterns for name in _names(pattern)] for part, patterns in PARTS.items()}


def _names(pattern):
    return [path.relative_to(ROOT).with_suffix("").as_posix() for path in sorted(ROOT.glob(pattern))]


def prepared(name, text):
    """A page's text as Sphinx gets it; `name` is the page's, without its ending."""
    text = with_pages_for_folders(name, text)
    if name == "README":
        return text + "".join(_toctree(part, pages) for part, pages in contents().items())
    if name == "docs/glossary":
        return as_glossary(text)
    return with_alternatives(text) if name.startswith("notebooks/") else text


def _toctree(part, pages):
    lines = ["", "```{toctree}", ":hidden:", f":caption: {part}", "", *pages, "```", ""]
    return "\n".join(lines)


def with_pages_for_folders(name, text):
    """Links to folders lead to their README or to their first notebook."""

    def page(match):
        folder = (ROOT / name).parent / match[1]
        if not folder.is_dir():
            return match[0]
        first = [*folder.glob("README.md"), *sorted(folder.glob("[0-9]*.ipynb"))][0]
        return f"]({match[1].rstrip('/')}/{first.name})"

    return re.sub(r"\]\((?!\w+:|#)([^)#\s]+)\)", page, text)


def entries(text):
    """The glossary's entries, [(terms, explanation)], from lines "* **term**, **other name**: explanation"."""
    return [(re.findall(r"\*\*([^*]+)\*\*", terms), explanation) for terms, explanation in ENTRY.findall(text)]


def as_glossary(text):
    """The glossary's lists as the directive that makes its terms known to links and search."""

    def directive(block):
        lines = [line for terms, explanation in entries(block[0]) for line in (*terms, f"  {explanation}", "")]
        return "\n".join(["```{glossary}", *lines, "```", ""])

    return ENTRIES.sub(directive, text)


def with_alternatives(text):
    """A notebook (JSON) whose stored figures' text alternatives stand where myst-nb looks for them."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        pictures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        if pictures:
            alt = pictures[0]["metadata"].get("image/png", {}).get("alt", NO_ALT)
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    return json.dumps(notebook)


def first_mentions(text, terms):
    """(start, end, term) of each term's first mention in `text`, the longest of several that begin at one place.

    A mention is a whole word, in the singular or the plural, in small or capital letters. `terms` are in small letters.
    """
    names = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    found = {}
    for match in re.finditer(rf"(?<![\w-])({names})(?:s|es)?(?![\w-])", text, re.IGNORECASE) if terms else ():
        found.setdefault(match[1].lower(), (*match.span(), match[1].lower()))
    return list(found.values())
