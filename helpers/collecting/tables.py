"""The text files of a folder of collected photos: credits, what is left out, what the reader excludes."""

import codecs
import csv
import io
import itertools
import re
from pathlib import Path

from helpers import paths
from helpers.collecting.services import Photo
from helpers.photos.attributions import COLUMNS, rows, to_cell

CREDIT_FIELDS = ("title", "creator", "licence", "licence_url", "page_url", "source")
MANIFEST_COLUMNS = ("label", "id", "sha256", "url", *CREDIT_FIELDS)
PART = ".collecting"  # ends the names of files that are not whole yet


def write_table(path, header, table):
    """Write a CSV file (UTF-8) that appears at once and whole, and only if it would change."""
    data = lines(itertools.chain([header], table)).encode()
    if path.exists() and path.read_bytes() == data:
        return
    with paths.whole(path, path.with_name(f"{path.name}{PART}")) as part:
        part.write_bytes(data)


def lines(table):
    """Rows of cells as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(to_cell, row) for row in table)
    return text.getvalue()


def attribution(file, sha256, date, photo):
    """The row of attributions.csv about a photo."""
    facts = {**vars(photo), "file": file, "sha256": sha256, "date": date}
    return {name: facts[name] for name in COLUMNS}


def read_attributions(path):
    """The rows of attributions.csv; ValueError for what is no such table, so that it is not overwritten."""
    data = path.read_bytes() if path.exists() else b""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data)  # it may end within a letter: cut short
        table = csv.DictReader(io.StringIO(text, newline=""))
        if text.strip() and "file" not in (table.fieldnames or ()):
            raise ValueError("its first line names no column 'file'")
        return [row for row in rows(table) if row["file"]]
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f'{path}: no table in UTF-8 with commas ({error}); save it as one ("CSV UTF-8"), or '
            "move it away: collected photos get their credits anew, your own photos do not"
        ) from None


def read_manifest(path):
    """{label: {Photo: sha256}} of a manifest's file; ValueError for what is none."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as table:
            photos = rows(csv.DictReader(table))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path}: no table in UTF-8 with commas ({error}); save it as one ("CSV UTF-8")') from None
    if not photos or not set(MANIFEST_COLUMNS) <= set(photos[0]):
        raise ValueError(f"{path}: no manifest; expected a CSV file with the columns {', '.join(MANIFEST_COLUMNS)}")
    if not all(row["label"] for row in photos):
        raise ValueError(f"{path}: a photo has no label; write its class's name into the column 'label'")
    labels = {}
    for row in photos:
        facts = {field: row[field] or "" for field in ("id", *CREDIT_FIELDS)}
        photo = Photo(sizes=((None, None, row["url"] or ""),), **facts)
        labels.setdefault(row["label"], {})[photo] = row["sha256"]
    return labels


def read_exclude(path):
    """The names in exclude.txt, "label/id" or "id", without suffixes and remarks. ValueError for what is not UTF-8."""
    try:
        named = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text in UTF-8 ({error}); save it as UTF-8") from None
    names = [line.split("#")[0].strip().replace("\\", "/") for line in named]
    return {re.sub(r"\.\w+$", "", "/".join(Path(name).parts[-2:])) for name in names}
