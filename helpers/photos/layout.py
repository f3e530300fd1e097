"""Where the pictures of a folder lie: `<root>/<class>/`, or already split, `<root>/train/<class>/` and so on."""

import os
import re
from typing import NamedTuple

from helpers.photos import attributions, pictures

NAMED = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "dev": "validation"}
NAMED |= {"validation": "validation", "test": "test", "testing": "test"}  # folders of splits, see `_split_name`
EXPECTED = "<folder>/<class>/*.jpg, .png or .webp"


class Layout(NamedTuple):
    """Class names, sorted; [(file, split)], split "" where the folder has none; the splits it has; {entry: why not}."""

    class_names: tuple
    files: list
    splits: set
    left_out: dict


def find(root):
    """The `Layout` of the folder `root`. A train/ that holds folders and no pictures makes it one already split.

    Raises NotADirectoryError for no folder; ValueError for splits without classes, or without train/, and for a folder
    around the one that is meant.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder: photos are expected in {EXPECTED}")
    left_out = {}
    entries = _folders(root, root, left_out)
    split_of = {entry: NAMED[_split_name(entry)] for entry in entries if _split_name(entry) and _holds_classes(entry)}
    if "train" in split_of.values():
        lone = "ignored beside train/: not named as a split, or without class folders"
        left_out |= {entry.name: lone for entry in entries if entry not in split_of}
        classes = [(folder, split) for entry, split in split_of.items() for folder in _folders(root, entry, left_out)]
    elif entries and all(map(_split_name, entries)):
        named = ", ".join(entry.name for entry in entries)
        advice = f"sort them as <folder>/train/<class>/*.jpg, or give one split's folder, {entries[0]}"
        raise ValueError(f"{root} is already split, into {named}; but none is a train/ with class folders: {advice}")
    elif len(entries) == 1 and _holds_classes(entries[0]):
        raise ValueError(f"{root}: its one folder holds folders and no pictures: give that folder, {entries[0]}")
    else:
        classes = [(entry, "") for entry in entries]
    names = tuple(sorted({folder.name for folder, split in classes if split in ("", "train")}))
    unknown = "no class: train/ has none of this name"
    left_out |= {folder.relative_to(root).as_posix(): unknown for folder, _ in classes if folder.name not in names}
    known = [(folder, split) for folder, split in classes if folder.name in names]
    opened = [(folder, split) for folder, split in known if _opens(root, folder, left_out)]
    files = [(file, split) for folder, split in opened for file in sorted(folder.iterdir())]
    return Layout(names, files, {split for _, split in known if split}, left_out)


def _folders(root, parent, left_out):
    """The sub-folders that can be classes; whatever else is there, and no file of ours, goes into `left_out`."""
    found = []
    for entry in sorted(parent.iterdir()) if _opens(root, parent, left_out) else ():
        name = entry.relative_to(root).as_posix()
        if not entry.is_dir():
            if entry.name not in attributions.OWN_FILES:
                left_out[name] = "not in a class folder" if entry.exists() else "a broken link"
        elif entry.name.startswith((".", "_")):
            left_out[name] = "no class: the name begins with . or _"
        else:
            found.append(entry)
    return found


def _split_name(entry):
    """The key of NAMED that a folder's name means: Train, training_set, 1-train; None for no split."""
    name = re.sub(r"[^a-z]|set$", "", entry.name.lower())
    return name if name in NAMED else None


def _holds_classes(entry):
    """Whether a folder holds folders and no pictures."""
    if not os.access(entry, os.R_OK | os.X_OK):
        return False
    inside = list(entry.iterdir())
    pictures_in_it = any(file.suffix.lower() in pictures.SUFFIXES and file.is_file() for file in inside)
    return not pictures_in_it and any(one.is_dir() and not one.name.startswith((".", "_")) for one in inside)


def _opens(root, folder, left_out):
    if os.access(folder, os.R_OK | os.X_OK):
        return True
    left_out[folder.relative_to(root).as_posix()] = "the folder cannot be opened: permission denied"
    return False
