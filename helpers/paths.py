"""The project's folders, from this module's own place and never from the working directory."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
WEIGHTS = ROOT / "weights"
FIGURES = Path(os.environ.get("FIGURES_DIR", ROOT / "figures"))  # the tests write theirs elsewhere
DATA = ROOT / "data"
RUNS = ROOT / "runs"


def relative(path):
    """`path` as a reader knows it: relative to the project where it lies inside, unchanged elsewhere."""
    path = Path(path).resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
