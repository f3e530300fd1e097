"""Check a built site: links lead somewhere, pictures have text alternatives, nothing comes from the internet.

python book/check.py build/book
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pages import NO_ALT

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """A page's links [(tag, address)], its anchors and its pictures' text alternatives [(address, text or None)]."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.alternatives = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name")} - {None}
        self.links += [(tag, name, given[name]) for name in ("href", "src") if given.get(name)]
        if tag == "img":
            self.alternatives.append((given.get("src", ""), given.get("alt")))


def problems(site):
    """(What is wrong, as lines; how many links were checked; how many figures lack a text of their own)."""
    pages = {path.resolve(): Page(path) for path in sorted(Path(site).rglob("*.html")) if "_static" not in path.parts}
    told, checked, bare = [], 0, 0
    for path, page in pages.items():
        name = path.relative_to(Path(site).resolve())
        for tag, attribute, address in page.links:
            checked += 1
            if why := _broken(pages, path, (tag, attribute) in LOADED, address):
                told.append(f"{name}: {address[:100]}: {why}")
        for source, alt in page.alternatives:
            bare += alt == NO_ALT
            if not alt or alt == source:
                told.append(f"{name}: {source[:100]}: no text alternative")
    return told, checked, bare


def _broken(pages, path, is_loaded, address):
    """Why an address on a page leads nowhere; None where it is fine. Pages elsewhere are not asked for."""
    parts = urlsplit(address)
    if parts.scheme in ("data", "mailto") or address == "#":
        return None
    if parts.scheme or parts.netloc:
        return "asks the internet for it" if is_loaded else None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "no such place on that page"
    return None


if __name__ == "__main__":
    told, checked, bare = problems(sys.argv[1])
    if told or not checked:
        sys.exit("\n".join(told) or f"{sys.argv[1]}: no page with a link: build the site first")
    print(f"{sys.argv[1]}: {checked} links lead somewhere; figures without a text of their own: {bare}")
