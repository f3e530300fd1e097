"""What every test needs: quick notebooks, quiet TensorFlow, and figures that do not replace the committed ones."""

import os
import tempfile
from pathlib import Path

import matplotlib

import helpers  # noqa: F401  TensorFlow's switches, before a test imports it

matplotlib.use("agg")
ROOT = Path(__file__).resolve().parent
os.environ["NOTEBOOK_MODE"] = "quick"
os.environ["FIGURES_DIR"] = tempfile.mkdtemp(prefix="figures-")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
