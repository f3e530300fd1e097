"""A folder of photos, `<root>/<class>/*.jpg` and others, as training, validation and test pictures.

Nothing in the folder is ever changed. Order and splits depend on the files' names and bytes only.
"""

import csv
import hashlib
import os
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers.photos import attributions, layout, pictures, splits

COUNTS = (250, 100, 100)  # pictures per class in each split (blog, section 4.1)
TOGETHER, KEEP = "together", "keep"  # what becomes of near-duplicates
MANIFEST_COLUMNS = ("file", "sha256", "split", "label", "credit", "note")


@dataclass
class Report:
    """What became of the files that were not simply used; keys are paths relative to the root."""

    left_out: dict  # file or folder: why it cannot be used
    converted: dict  # file: what was done to make it RGB
    unused: list  # usable files not used: the splits are full, or a copy lies in a later one
    duplicates: list  # tuples of near-identical files, kept in one split
    label_conflicts: list  # those of them that lie in several classes
    notes: list  # anything else a reader should know

    def __str__(self):
        lines = [f"left out: {name!r}: {reason}" for name, reason in self.left_out.items()]
        lines += [f"converted: {name!r}: {what}" for name, what in self.converted.items()]
        lines += [f"near-duplicates, kept in one split: {', '.join(map(repr, group))}" for group in self.duplicates]
        lines += [f"the same picture in several classes: {', '.join(map(repr, g))}" for g in self.label_conflicts]
        if self.unused:
            lines.append(f"{len(self.unused)} pictures not used: the splits are full, or a copy lies in a later one")
        return "\n".join(lines + self.notes) or "every file was used as it is"


@dataclass(frozen=True)
class Split:
    """Pictures uint8 [N, size, size, 3], labels int64 [N], and for each its file and credit line ("" if unknown)."""

    images: np.ndarray
    labels: np.ndarray
    files: tuple
    credits: tuple


@dataclass(frozen=True)
class Photos:
    """Three `Split`s, the class names in label order, the `Report`, and the manifest's rows (one dict a file)."""

    train: Split
    validation: Split
    test: Split
    class_names: tuple
    report: Report
    manifest: list


def load(root, counts=COUNTS, seed=0, size=160, near_duplicates=TOGETHER):
    """Read the folder `root` into seeded splits of `counts` = (train, validation, test) pictures a class; see `Photos`.

    Pictures are cropped to their central square and resized to [size, size] (bilinear, antialiased). Byte-identical and
    near-identical pictures (also across classes) stay in one split; near_duplicates="keep": only byte-identical ones,
    for pictures that all look alike (X-rays). Needs about `3 * size**2` bytes a picture.
    Every sub-folder is a class unless its name begins with . or _. A folder that is already split, into train/<class>/,
    test/<class>/ and perhaps validation/<class>/, is taken as it is: what has no folder is drawn from train/.
    Raises NotADirectoryError for no folder; ValueError with what to do for under two classes and too few pictures.
    """
    splits.check_counts(counts)
    if near_duplicates not in (TOGETHER, KEEP):
        raise ValueError(f"near_duplicates {near_duplicates!r}: choose {TOGETHER} or {KEEP}")
    root = Path(root).expanduser()
    found = layout.find(root)
    rows, pixels, fingerprints = _read_all(root, found, size)
    labels, keys, given = ([row[name] for row in rows] for name in ("label", "sha256", "split"))
    groups = pictures.near_duplicates(fingerprints) if near_duplicates == TOGETHER else _numbered(keys)
    assigned = splits.assign_within(given, found.splits, labels, groups, keys, counts, seed)
    for row, split in zip(rows, assigned, strict=True):
        row["split"] = split or "unused"
    _check_counts(root, found, rows, given, groups, counts)
    report = _report(rows, groups, found, _add_credits(root, rows))
    three = [_split(rows, pixels, name, found.class_names) for name in splits.NAMES]
    manifest = rows + [_row(name, split="left out", note=reason) for name, reason in found.left_out.items()]
    return Photos(*three, found.class_names, report, manifest)


def _row(file, **known):
    """A file's row of the manifest, which holds the columns in their order."""
    return dict.fromkeys(MANIFEST_COLUMNS, "") | {"file": file} | known


def _numbered(keys):
    """Group number [N]: equal keys have the same."""
    return np.unique(np.array(keys), return_inverse=True)[1]


def _read_all(root, found, size):
    """Rows, pictures uint8 [size, size, 3] and fingerprints of the usable files; the others count as left out."""
    files = [path.relative_to(root).as_posix() for path, _ in found.files]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        warnings.simplefilter("ignore")  # Pillow's on odd metadata; what makes a picture unusable is reported
        results = list(threads.map(lambda candidate, file: _read(*candidate, file, size), found.files, files))
    found.left_out.update({file: one for file, one in zip(files, results, strict=True) if isinstance(one, str)})
    usable = [one for one in results if not isinstance(one, str)]
    return [[one[place] for one in usable] for place in range(3)]


def _read(path, split, file, size):
    """Row, picture and fingerprint; or the reason why not, as text."""
    if path.is_dir():
        return "a folder, not a picture"
    if path.suffix.lower() not in pictures.SUFFIXES:
        return f"none of {', '.join(pictures.SUFFIXES)}"
    try:
        if not path.is_file():
            return "a broken link or special file"
        data = path.read_bytes()
        image, notes, _ = pictures.decode(data, size)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))
    sha256 = hashlib.sha256(data).hexdigest()
    row = _row(file, sha256=sha256, split=split, label=path.parent.name, note="; ".join(notes))
    return row, pixels, pictures.fingerprint(image)


def _check_counts(root, found, rows, given, groups, counts):
    """Raise ValueError where the splits are not full, with what was found and what to do."""
    names, left_out = found.class_names, found.left_out
    reasons = "".join(f"\n  left out: {name!r}: {reason}" for name, reason in list(left_out.items())[:10])
    reasons += f"\n  and {len(left_out) - 10} more" if len(left_out) > 10 else ""
    if len(names) < 2:
        there = f"class folders found: {', '.join(names) or 'none'}; at least two are needed"
        raise ValueError(f"{root}: {there}: {layout.EXPECTED}{reasons}")
    placed = Counter((row["label"], row["split"]) for row in rows)
    if all(placed[name, split] == n for name in names for split, n in zip(splits.NAMES, counts, strict=True)):
        return
    pools = [name for name in splits.NAMES if name in found.splits] or [""]
    usable = Counter((row["label"], pool) for row, pool in zip(rows, given, strict=True))
    last = splits.last_splits(given, groups)
    each = {(row["label"], pool, group) for row, pool, group in zip(rows, given, groups, strict=True)}
    different = Counter((label, pool) for label, pool, group in each if pool == last[group])
    there = ", ".join(_found(name, pool, usable, different) for pool in pools for name in names)
    needed = f"{sum(counts)} = {' + '.join(map(str, counts))}"
    smallest = {pool: min(different[name, pool] for name in names) for pool in pools}
    advice = _advice(smallest, found.splits, counts)
    if sum(different.values()) < sum(usable.values()):
        advice += f". Do pictures only look alike, as X-rays do? near_duplicates={KEEP!r}, --near-duplicates {KEEP}"
    raise ValueError(
        f"{root}: too few usable pictures: {there}; each class needs {needed} (training + validation + test, near-"
        f"duplicates together). Add pictures, or {advice}.{reasons}"
    )


def _found(name, pool, usable, different):
    copies = f" ({different[name, pool]} different ones)" if different[name, pool] < usable[name, pool] else ""
    return f"{name} {usable[name, pool]}{copies}{f' in {pool}' if pool else ''}"


def _advice(smallest, present, counts):
    """Counts that the smallest class can fill; what is drawn from one folder in the blog's proportion.

    smallest: {split with a folder, or "": number of different pictures}
    """
    fewer = dict(zip(splits.NAMES, counts, strict=True))
    for pool, there in smallest.items():
        own, *held_out = splits.filled_from(pool, present)
        wanted = sum(fewer[name] for name in (own, *held_out))
        if pool and there >= wanted:
            continue
        there = min(there, wanted - (not pool))
        fewer |= dict.fromkeys(held_out, max(there * 2 // 9, 1))
        fewer[own] = there - len(held_out) * max(there * 2 // 9, 1)
    if min(fewer.values()) < 1:
        return "begin the name of a folder that is no class with _"
    fewer = tuple(fewer.values())
    return f"ask for smaller splits: counts={fewer}, on the command line --counts {' '.join(map(str, fewer))}"


def _add_credits(root, rows):
    """Give rows their credit lines from attributions.csv, by checksum, else by name; notes about what went wrong."""
    try:
        known = attributions.read(root)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [f"{attributions.ATTRIBUTIONS} cannot be read, no credits are known: {error}"]
    if known and not {"file", "sha256"} & known[0].keys():
        return [f"{attributions.ATTRIBUTIONS}: no credits are known; its first line has to be {attributions.LEAST}"]
    found = {attributions.named(own.get("file")): own for own in known} | {own.get("sha256"): own for own in known}
    for row in rows:
        if own := found.get(row["sha256"]) or found.get(attributions.named(row["file"])):
            row["credit"] = attributions.credit(own.get("licence"), own.get("creator"))
    return []


def _report(rows, groups, found, notes):
    several = [np.flatnonzero(groups == group) for group in np.flatnonzero(np.bincount(groups) > 1)]
    duplicates = [tuple(rows[index]["file"] for index in group) for group in several]
    conflicts = [files for files in duplicates if len({Path(file).parent.name for file in files}) > 1]
    converted = {row["file"]: row["note"] for row in rows if row["note"]}
    unused = [row["file"] for row in rows if row["split"] == "unused"]
    if found.splits:
        drawn = " and ".join(name for name in splits.NAMES if name not in found.splits)
        notes = [f"already split, taken as it is{f'; {drawn}: drawn from train' if drawn else ''}", *notes]
    return Report(found.left_out, converted, unused, duplicates, conflicts, notes)


def _split(rows, pixels, name, class_names):
    chosen = [place for place, row in enumerate(rows) if row["split"] == name]
    labels = np.array([class_names.index(rows[place]["label"]) for place in chosen])
    files, credits = (tuple(rows[place][key] for place in chosen) for key in ("file", "credit"))
    return Split(np.stack([pixels[place] for place in chosen]), labels, files, credits)


def write_manifest(rows, path):
    """Write manifest rows as CSV (UTF-8); any file name survives, newlines and undecodable bytes too.

    A cell that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    with Path(path).open("w", encoding="utf-8", errors="surrogateescape", newline="") as table:
        writer = csv.DictWriter(table, MANIFEST_COLUMNS)
        writer.writeheader()
        writer.writerows({name: attributions.to_cell(text) for name, text in row.items()} for row in rows)
