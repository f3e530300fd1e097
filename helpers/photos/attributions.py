"""Who made a photo, and on what terms: attributions.csv and its credit line, and what else collecting leaves behind."""

import csv
import re
import unicodedata

ATTRIBUTIONS, EXCLUDE, LEFT_OUT = "attributions.csv", "exclude.txt", "left_out.csv"
DATABASE, CONTACT_SHEET, MANIFEST = ".collecting.db", "contact_sheet.html", "manifest.csv"
OWN_FILES = {ATTRIBUTIONS, EXCLUDE, LEFT_OUT, DATABASE, CONTACT_SHEET, MANIFEST}  # beside the classes' folders
COLUMNS = ("file", "sha256", "title", "creator", "licence", "licence_url", "page_url", "source", "date")
LEAST = "file,creator,licence"  # what a list of one's own needs
# what a spreadsheet computes, and what already had an apostrophe before it
_FORMULA = re.compile("'*[=+\\-@−＝＋－＠]")


def to_cell(text):
    """A CSV cell that no spreadsheet takes for a formula: with an apostrophe before = + - @."""
    return f"'{text}" if _FORMULA.match(str(text or "")) else text


def from_cell(text):
    """What `to_cell` was given."""
    return text[1:] if text and text[0] == "'" and _FORMULA.match(text) else text


def credit(licence, creator):
    """The blog's line under a picture, with the licence's version: "CC BY 2.0 by Norio"."""
    licence = licence or "licence unknown"
    return f"{licence} by {creator}" if creator else f"{licence}, creator unknown"


def named(file):
    """A file's name as it is compared: with / between folders, its letters composed (those of a Mac's are not)."""
    return unicodedata.normalize("NFC", (file or "").replace("\\", "/"))


def read(folder):
    """The rows of attributions.csv in `folder`, dicts of text; [] without one.

    Raises OSError, UnicodeDecodeError and csv.Error where it cannot be read.
    """
    if not (folder / ATTRIBUTIONS).exists():
        return []
    with (folder / ATTRIBUTIONS).open(encoding="utf-8-sig", newline="") as table:
        return rows(csv.DictReader(table))


def rows(table):
    """The rows of a `csv.DictReader` as dicts of text; None for cells that are missing."""
    return [{from_cell(name): from_cell(row[name]) for name in table.fieldnames} for row in table]
