"""Figures with Japanese labels: the words of `terms` and `terms_of_methods`."""

import re
import textwrap

from matplotlib.table import Table
from matplotlib.text import Text

from helpers.plots import terms, terms_of_methods
from helpers.plots.terms import NAMES

SENTENCES = terms_of_methods.SENTENCES | terms.SENTENCES  # the first that fits counts
WORDS = terms.WORDS | terms_of_methods.WORDS
CREDIT = "credit"  # the id of texts that stay as they are
JAPANESE = "[\u3040-\u30ff\u4e00-\u9fff」]"
KEPT = re.compile(  # a formula; a credit line's licence and names
    r"\$[^$]*\$|(?:CC0|CC BY|public domain)[^;\n]*(?:\n[^;\n]*)?"
)


def _pattern(words):
    return re.escape(words).replace(r"\{\}", "([^?→]*?)").replace(r"a\(n\)", "an?").replace(r"\ ", r"\s+")


FITS = {re.compile(_pattern(words), re.IGNORECASE): said for words, said in SENTENCES.items()}
LONGEST_FIRST = sorted([*WORDS, *NAMES], key=len, reverse=True)
KNOWN = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(map(_pattern, LONGEST_FIRST))})(?![A-Za-z])", re.IGNORECASE)
LOWER = {words.lower(): said for words, said in WORDS.items()}


def say(text):
    """(The text in Japanese, the English words that are not in the table)."""
    if fitting := _fitting(text):
        said, found = fitting
        parts = [say(part) for part in found.groups()]
        return _wrapped(said.format(*(part for part, _ in parts)), text), [word for _, left in parts for word in left]
    if any(map(_fitting, lines := text.split("\n"))):
        said, left = zip(*map(say, lines), strict=True)
        return "\n".join(said), [word for words in left for word in words]
    kept, plain = KEPT.findall(text), KEPT.sub("\0", text)
    left = re.findall("[A-Za-z]{2,}", KNOWN.sub("", plain))
    said = KNOWN.sub(lambda found: LOWER.get(" ".join(found[0].lower().split()), found[0]), plain)
    said = re.sub(rf"(?<={JAPANESE}),\s+(?={JAPANESE})", "、", said)
    said = re.sub(rf"(?<={JAPANESE}) +(?={JAPANESE})", "", said)
    for part in kept:
        said = said.replace("\0", part, 1)
    return _wrapped(said, text), left


def _fitting(text):
    """(The Japanese sentence, the match) of the first of SENTENCES that fits a whole text; None without."""
    matches = ((said, pattern.fullmatch(text.strip())) for pattern, said in FITS.items())
    return next(((said, match) for said, match in matches if match), None)


def _wrapped(said, text):
    """Japanese, which has no spaces, in lines about as wide as those of the English text that it stands for."""
    width, anywhere = max(9, int(0.55 * max(map(len, text.split("\n"))))), bool(re.search(JAPANESE, said))
    lines = textwrap.wrap(said, width, break_long_words=anywhere)
    return "\n".join(lines) if "\n" in text and "\n" not in said else said


def translate(figure):
    """Put the labels of a figure into Japanese; returns the English words that stay, each once, in order."""
    figure.draw_without_rendering()  # names ticks
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        names = [label.get_text() for label in axis.get_ticklabels()]
        if (said := [say(name)[0] for name in names]) != names:
            axis.set_ticks(axis.get_ticklocs(), said)
    english = []
    cells = [cell.get_text() for table in figure.findobj(Table) for cell in table.get_celld().values()]
    for text in [*figure.findobj(Text), *cells]:
        if text.get_gid() != CREDIT:
            said, left = say(text.get_text())
            english += left
            text.set_text(said)
    figure.draw_without_rendering()
    for axes in figure.axes:  # what is wider than its picture would touch the next one
        for text in (axes.title, axes.xaxis.label):
            room, needed = axes.get_window_extent().width, text.get_window_extent().width
            text.set_fontsize(text.get_fontsize() * min(1, max(0.75, room / max(needed, 1))))
    return list(dict.fromkeys(english))
