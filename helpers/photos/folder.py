"""A folder of photos, `<root>/<class>/*.jpg|jpeg|png|webp`, as training, validation and test pictures.

Nothing in the folder is ever changed. Order and splits depend on the files' names and bytes only.
"""

import csv
import hashlib
import os
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers.photos import attributions, pictures, splits

COUNTS = (250, 100, 100)  # pictures a class in each split (blog, section 4.1)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MANIFEST_COLUMNS = ("file", "sha256", "split", "label", "credit", "note")


@dataclass
class Report:
    """What became of the files that were not simply used; keys are paths relative to the root."""

    left_out: dict = field(default_factory=dict)  # file or folder: why it cannot be used
    converted: dict = field(default_factory=dict)  # file: what was done to make it RGB
    unused: list = field(default_factory=list)  # usable files the full splits had no room for
    duplicates: list = field(default_factory=list)  # tuples of near-identical files, kept in one split
    label_conflicts: list = field(default_factory=list)  # those of them that lie in several classes
    notes: list = field(default_factory=list)  # anything else a reader should know

    def __str__(self):
        sections = [(self.left_out.items(), "left out"), (self.converted.items(), "converted")]
        lines = [f"{title}: {name!r}: {what}" for entries, title in sections for name, what in entries]
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


@dataclass(frozen=True)
class _Photo:
    file: str
    class_name: str
    sha256: str
    pixels: np.ndarray
    fingerprint: pictures.Fingerprint
    notes: list


def load(root, counts=COUNTS, seed=0, size=160):
    """Read the folder `root` into seeded splits of `counts` = (train, validation, test) pictures a class; see `Photos`.

    Pictures are cropped to their central square and resized to [size, size] (bilinear, antialiased). Byte-identical and
    near-identical pictures (also across classes) stay in one split. Needs about `3 * size**2` bytes a picture.
    Every sub-folder is a class unless its name begins with . or _.
    Raises NotADirectoryError for no folder; ValueError with what to do for under two classes or too few pictures.
    """
    splits.check_counts(counts)
    root, report = Path(root).expanduser(), Report()
    class_names, candidates = _find(root, report)
    photos = _read_all(root, candidates, size, report)
    classes = [photo.class_name for photo in photos]
    groups = pictures.near_duplicates([photo.fingerprint for photo in photos])
    _report_groups(photos, groups, report)
    split_of = splits.assign(classes, groups, [photo.sha256 for photo in photos], counts, seed)
    _check_counts(root, class_names, classes, groups, split_of, counts, report)
    report.unused = [photo.file for photo, split in zip(photos, split_of, strict=True) if not split]
    credit_of = _credits(root, photos, report)
    three = [_split(photos, split_of, name, class_names, credit_of) for name in splits.NAMES]
    return Photos(*three, class_names, report, _manifest(photos, split_of, credit_of, report))


def _find(root, report):
    """Class names, and (class name, path) of every candidate file, both sorted; the rest goes into the report."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder: photos are expected in <folder>/<class>/*.jpg, .png or .webp")
    class_names, candidates = [], []
    for entry in sorted(root.iterdir()):
        if not entry.is_dir():
            if entry.name not in attributions.OWN_FILES:
                broken = entry.is_symlink() and not entry.exists()
                report.left_out[entry.name] = "a broken link" if broken else "not in a class folder"
        elif entry.name.startswith((".", "_")):
            report.left_out[entry.name] = "no class: the name begins with . or _"
        else:
            class_names.append(entry.name)
            if os.access(entry, os.R_OK | os.X_OK):
                candidates += [(entry.name, path) for path in sorted(entry.iterdir())]
            else:
                report.left_out[entry.name] = "the folder cannot be opened: permission denied"
    return tuple(class_names), candidates


def _read_all(root, candidates, size, report):
    def read(candidate):
        class_name, path = candidate
        return _read(path, path.relative_to(root).as_posix(), class_name, size)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        warnings.simplefilter("ignore")  # Pillow's on odd metadata; what makes a picture unusable is reported below
        results = list(threads.map(read, candidates))
    for (_, path), result in zip(candidates, results, strict=True):
        name = path.relative_to(root).as_posix()
        if isinstance(result, str):
            report.left_out[name] = result
        elif result.notes:
            report.converted[name] = "; ".join(result.notes)
    return [result for result in results if not isinstance(result, str)]


def _read(path, name, class_name, size):
    """The picture as a `_Photo`, or the reason why not, as text."""
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
    return _Photo(name, class_name, hashlib.sha256(data).hexdigest(), pixels, pictures.fingerprint(image), notes)


def _report_groups(photos, groups, report):
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = [photos[index] for index in np.flatnonzero(groups == group)]
        files = tuple(photo.file for photo in members)
        report.duplicates.append(files)
        if len({photo.class_name for photo in members}) > 1:
            report.label_conflicts.append(files)


def _check_counts(root, class_names, classes, groups, split_of, counts, report):
    if len(class_names) < 2:
        raise ValueError(
            f"{root}: class folders found: {', '.join(class_names) or 'none'}; at least two are needed: "
            f"<folder>/<class>/*.jpg, .png or .webp{_reasons(report)}"
        )
    placed, usable = Counter(zip(classes, split_of, strict=True)), Counter(classes)
    different = Counter(name for name, _ in set(zip(classes, groups.tolist(), strict=True)))
    if any(placed[name, split] < n for name in class_names for split, n in zip(splits.NAMES, counts, strict=True)):
        found = ", ".join(
            f"{name} {usable[name]}"
            + (f" ({different[name]} different ones)" if different[name] < usable[name] else "")
            for name in class_names
        )
        needed = f"{sum(counts)} = {' + '.join(map(str, counts))}"
        raise ValueError(
            f"{root}: too few usable pictures: {found}; each class needs {needed} "
            "(training + validation + test, near-duplicates together). "
            f"{_advice(min(different[name] for name in class_names), counts)}{_reasons(report)}"
        )


def _advice(smallest, counts):
    """Counts in the blog's proportion that the smallest class can fill."""
    smallest = min(smallest, sum(counts) - 1)
    held_out = smallest * 2 // 9
    if held_out < 1:
        return "Add pictures, or begin the name of a folder that is no class with _."
    train = smallest - 2 * held_out
    return (
        f"Add pictures, or ask for smaller splits: counts=({train}, {held_out}, {held_out}), "
        f"on the command line --counts {train} {held_out} {held_out}."
    )


def _reasons(report):
    shown = [f"\n  left out: {name!r}: {reason}" for name, reason in list(report.left_out.items())[:10]]
    more = len(report.left_out) - len(shown)
    return "".join(shown) + (f"\n  and {more} more" if more else "")


def _credits(root, photos, report):
    """{file: "CC BY 2.0 by creator"} from the folder's attributions.csv, found by checksum first, then by name."""
    try:
        rows = attributions.read(root)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        report.notes.append(f"{attributions.ATTRIBUTIONS} cannot be read, no credits are known: {error}")
        return {}
    found = {row.get("file"): row for row in rows} | {row.get("sha256"): row for row in rows}
    return {
        photo.file: attributions.credit(row.get("licence"), row.get("creator"))
        for photo in photos
        if (row := found.get(photo.sha256) or found.get(photo.file))
    }


def _split(photos, split_of, name, class_names, credit_of):
    chosen = [photo for photo, split in zip(photos, split_of, strict=True) if split == name]
    return Split(
        np.stack([photo.pixels for photo in chosen]),
        np.array([class_names.index(photo.class_name) for photo in chosen]),
        tuple(photo.file for photo in chosen),
        tuple(credit_of.get(photo.file, "") for photo in chosen),
    )


def _manifest(photos, split_of, credit_of, report):
    rows = []
    for photo, split in zip(photos, split_of, strict=True):
        known = credit_of.get(photo.file, ""), report.converted.get(photo.file, "")
        rows.append((photo.file, photo.sha256, split or "unused", photo.class_name, *known))
    rows += [(name, "", "left out", "", "", reason) for name, reason in report.left_out.items()]
    return [dict(zip(MANIFEST_COLUMNS, row, strict=True)) for row in rows]


def write_manifest(rows, path):
    """Write manifest rows as CSV (UTF-8); any file name survives, newlines and undecodable bytes too."""
    with Path(path).open("w", encoding="utf-8", errors="surrogateescape", newline="") as table:
        writer = csv.DictWriter(table, MANIFEST_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
