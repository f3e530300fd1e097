"""Who made a photo, and on what terms: attributions.csv and its credit line, and what else collecting leaves behind."""

import csv

ATTRIBUTIONS, EXCLUDE, LEFT_OUT = "attributions.csv", "exclude.txt", "left_out.csv"
DATABASE, CONTACT_SHEET, MANIFEST = ".collecting.db", "contact_sheet.html", "manifest.csv"
OWN_FILES = {ATTRIBUTIONS, EXCLUDE, LEFT_OUT, DATABASE, CONTACT_SHEET, MANIFEST}  # beside the classes' folders
COLUMNS = ("file", "sha256", "title", "creator", "licence", "licence_url", "page_url", "source", "date")


def credit(licence, creator):
    """The blog's line under a picture, with the licence's version: "CC BY 2.0 by Norio"."""
    licence = licence or "licence unknown"
    return f"{licence} by {creator}" if creator else f"{licence}, creator unknown"


def read(folder):
    """The rows of attributions.csv in `folder`, dicts of text; [] without one.

    Raises OSError, UnicodeDecodeError and csv.Error where it cannot be read.
    """
    if not (folder / ATTRIBUTIONS).exists():
        return []
    with (folder / ATTRIBUTIONS).open(encoding="utf-8-sig", newline="") as table:
        return list(csv.DictReader(table))
