"""The project's folders, from this module's own place and never from the working directory."""

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
    path = Path(path).expanduser()
    return path if path.exists() else ROOT / path


def relative(path):
    """`path` as a reader knows it: relative to the project where it lies inside, unchanged elsewhere."""
    path = Path(path).resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
