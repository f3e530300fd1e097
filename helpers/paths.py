"""The project's folders, from this module's own place and never from the working directory."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
WEIGHTS = ROOT / "weights"
FIGURES = Path(os.environ.get("FIGURES_DIR", ROOT / "figures"))  # the tests write theirs elsewhere
DATA = ROOT / "data"
RUNS = ROOT / "runs"


def given(path):
    """A path as a reader gives it: as it stands where that exists, else from the project's folder.

    Notebooks run in a folder of their own; the same words mean the same folder there and behind `make train PHOTOS=`.
    """
    path = Path(path)
    with contextlib.suppress(RuntimeError):  # ~ may begin a file's own name
        path = path.expanduser()
    return path if path.exists() else ROOT / path


def relative(path):
    """`path` as a reader knows it: relative to the project where it lies inside, unchanged elsewhere."""
    path = Path(path).resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


@contextlib.contextmanager
def whole(path, part=None):
    """A path to write to, `part`, by default beside `path`: it takes the place of `path` when it is whole, or never."""
    part = part or path.with_name(f"part.{path.name}")
    try:
        yield part
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sync(file):
    """Wait until a file is on the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def write_json(values, path):
    """Write plain values as JSON (any text survives, undecodable names too); the file appears whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8", errors="backslashreplace")


def checksum(file):
    """The sha256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
