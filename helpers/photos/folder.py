"""A folder of photos, `<root>/<class>/*.jpg|jpeg|png|webp`, as training, validation and test pictures.

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

from helpers.photos import attributions, pictures, splits

COUNTS = (250, 100, 100)  # pictures a class in each split (blog, section 4.1)
SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MANIFEST_COLUMNS = ("file", "sha256", "split", "label", "credit", "note")


@dataclass
class Report:
    """What became of the files that were not simply used; keys are paths relative to the root."""

    left_out: dict  # file or folder: why it cannot be used
    converted: dict  # file: what was done to make it RGB
    unused: list  # usable files the full splits had no room for
    duplicates: list  # tuples of near-identical files, kept in one split
    label_conflicts: list  # those of them that lie in several classes
    notes: list  # anything else a reader should know

    def __str__(self):
        lines = [f"left out: {name!r}: {reason}" for name, reason in self.left_out.items()]
        lines += [f"converted: {name!r}: {what}" for name, what in self.converted.items()]
        lines += [f"near-duplicates, kept in one split: {', '.join(map(repr, group))}" for group in self.duplicates]
        lines += [f"the same picture in several classes: {', '.join(map(repr, g))}" for g in self.label_conflicts]
        lines += [f"{len(self.unused)} usable pictures not needed: the splits are full"] if self.unused else []
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


def load(root, counts=COUNTS, seed=0, size=160):
    """Read the folder `root` into seeded splits of `counts` = (train, validation, test) pictures a class; see `Photos`.

    Pictures are cropped to their central square and resized to [size, size] (bilinear, antialiased). Byte-identical and
    near-identical pictures (also across classes) stay in one split. Needs about `3 * size**2` bytes a picture.
    Every sub-folder is a class unless its name begins with . or _.
    Raises NotADirectoryError for no folder; ValueError with what to do for under two classes, too few pictures, and a
    folder that is already split into train/ and test/.
    """
    splits.check_counts(counts)
    root = Path(root).expanduser()
    class_names, candidates, left_out = _find(root)
    rows, pixels, fingerprints = _read_all(root, candidates, size, left_out)
    groups = pictures.near_duplicates(fingerprints)
    labels, keys = [row["label"] for row in rows], [row["sha256"] for row in rows]
    for row, split in zip(rows, splits.assign(labels, groups, keys, counts, seed), strict=True):
        row["split"] = split or "unused"
    _check_counts(root, class_names, rows, groups, counts, left_out)
    report = _report(rows, groups, left_out, _add_credits(root, rows))
    three = [_split(rows, pixels, name, class_names) for name in splits.NAMES]
    manifest = rows + [_row(name, split="left out", note=reason) for name, reason in left_out.items()]
    return Photos(*three, class_names, report, manifest)


def _row(file, **known):
    """A file's row of the manifest, which holds the columns in their order."""
    return dict.fromkeys(MANIFEST_COLUMNS, "") | {"file": file} | known


def _find(root):
    """Class names and the paths of all candidate files, both sorted, and {entry of the root: why it is left out}."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder: photos are expected in <folder>/<class>/*.jpg, .png or .webp")
    class_names, candidates, left_out = [], [], {}
    for entry in sorted(root.iterdir()):
        if not entry.is_dir():
            if entry.name not in attributions.OWN_FILES:
                left_out[entry.name] = "not in a class folder" if entry.exists() else "a broken link"
        elif entry.name.startswith((".", "_")):
            left_out[entry.name] = "no class: the name begins with . or _"
        else:
            class_names.append(entry.name)
            if os.access(entry, os.R_OK | os.X_OK):
                candidates += sorted(entry.iterdir())
            else:
                left_out[entry.name] = "the folder cannot be opened: permission denied"
    if class_names and SPLIT_FOLDERS.issuperset(map(str.lower, class_names)):
        advice = "the splits are made here: put all pictures of a class into one folder, or give one split's folder"
        raise ValueError(f"{root} is already split, into {', '.join(class_names)}; {advice}, {root / class_names[0]}")
    return tuple(class_names), candidates, left_out


def _read_all(root, candidates, size, left_out):
    """Rows, pictures uint8 [size, size, 3] and fingerprints of the usable files; the others go into `left_out`."""
    files = [path.relative_to(root).as_posix() for path in candidates]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        warnings.simplefilter("ignore")  # Pillow's on odd metadata; what makes a picture unusable is reported
        results = list(threads.map(lambda path, file: _read(path, file, size), candidates, files))
    left_out |= {file: found for file, found in zip(files, results, strict=True) if isinstance(found, str)}
    usable = [found for found in results if not isinstance(found, str)]
    return [[found[place] for found in usable] for place in range(3)]


def _read(path, file, size):
    """Row, picture and fingerprint; or the reason why not, as text."""
    if path.suffix.lower() not in SUFFIXES:
        return f"none of {', '.join(SUFFIXES)}"
    try:
        if not path.is_file():
            return "a folder, not a picture" if path.is_dir() else "a broken link or special file"
        data = path.read_bytes()
        image, notes, _ = pictures.decode(data, size)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))
    sha256 = hashlib.sha256(data).hexdigest()
    return _row(file, sha256=sha256, label=path.parent.name, note="; ".join(notes)), pixels, pictures.fingerprint(image)


def _check_counts(root, class_names, rows, groups, counts, left_out):
    """Raise ValueError where the splits are not full, with what was found and what to do."""
    reasons = "".join(f"\n  left out: {name!r}: {reason}" for name, reason in list(left_out.items())[:10])
    reasons += f"\n  and {len(left_out) - 10} more" if len(left_out) > 10 else ""
    if len(class_names) < 2:
        found = f"class folders found: {', '.join(class_names) or 'none'}; at least two are needed"
        raise ValueError(f"{root}: {found}: <folder>/<class>/*.jpg, .png or .webp{reasons}")
    placed = Counter((row["label"], row["split"]) for row in rows)
    if all(placed[name, split] == n for name in class_names for split, n in zip(splits.NAMES, counts, strict=True)):
        return
    usable = Counter(row["label"] for row in rows)
    different = Counter(label for label, _ in {(row["label"], g) for row, g in zip(rows, groups, strict=True)})
    copies = {name: f" ({n} different ones)" for name, n in different.items() if n < usable[name]}
    found = ", ".join(f"{name} {usable[name]}{copies.get(name, '')}" for name in class_names)
    needed = f"{sum(counts)} = {' + '.join(map(str, counts))}"
    raise ValueError(
        f"{root}: too few usable pictures: {found}; each class needs {needed} (training + validation + test, near-"
        f"duplicates together). Add pictures, or {_advice(min(different[n] for n in class_names), counts)}.{reasons}"
    )


def _advice(smallest, counts):
    """Counts in the blog's proportion that the smallest class can fill."""
    smallest = min(smallest, sum(counts) - 1)
    held_out = smallest * 2 // 9
    if not held_out:
        return "begin the name of a folder that is no class with _"
    fewer = smallest - 2 * held_out, held_out, held_out
    return f"ask for smaller splits: counts={fewer}, on the command line --counts {' '.join(map(str, fewer))}"


def _add_credits(root, rows):
    """Give rows their credit lines from attributions.csv, by checksum, else by name; notes about what went wrong."""
    try:
        known = attributions.read(root)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [f"{attributions.ATTRIBUTIONS} cannot be read, no credits are known: {error}"]
    found = {own.get("file"): own for own in known} | {own.get("sha256"): own for own in known}
    for row in rows:
        if own := found.get(row["sha256"]) or found.get(row["file"]):
            row["credit"] = attributions.credit(own.get("licence"), own.get("creator"))
    return []


def _report(rows, groups, left_out, notes):
    several = [np.flatnonzero(groups == group) for group in np.flatnonzero(np.bincount(groups) > 1)]
    duplicates = [tuple(rows[index]["file"] for index in group) for group in several]
    conflicts = [files for files in duplicates if len({Path(file).parent for file in files}) > 1]
    converted = {row["file"]: row["note"] for row in rows if row["note"]}
    unused = [row["file"] for row in rows if row["split"] == "unused"]
    return Report(left_out, converted, unused, duplicates, conflicts, notes)


def _split(rows, pixels, name, class_names):
    chosen = [place for place, row in enumerate(rows) if row["split"] == name]
    labels = np.array([class_names.index(rows[place]["label"]) for place in chosen])
    files, credits = (tuple(rows[place][key] for place in chosen) for key in ("file", "credit"))
    return Split(np.stack([pixels[place] for place in chosen]), labels, files, credits)


def write_manifest(rows, path):
    """Write manifest rows as CSV (UTF-8); any file name survives, newlines and undecodable bytes too."""
    with Path(path).open("w", encoding="utf-8", errors="surrogateescape", newline="") as table:
        writer = csv.DictWriter(table, MANIFEST_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
