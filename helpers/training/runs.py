"""What a training keeps in its run folder: its state, to go on from after a kill; its best weights; its log."""

import hashlib
import json
import zipfile

import numpy as np

from helpers import paths
from helpers.training import shipped

LOG_COLUMNS = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds")
ADVICE = "use another run name, or delete the folder to start anew"


def save(run, model, optimizer, recipe, history, keep_best=False):
    """Write run/state.npz, one file with everything, which appears whole or not at all; and run/log.csv.

    keep_best: where the last epoch has the best validation accuracy, its weights go to run/best.weights.h5 as well.
    """
    run.mkdir(parents=True, exist_ok=True)
    if keep_best:
        *before, last = (row["validation_accuracy"] for row in history)
        if last > max(before, default=-1.0):
            shipped.save_weights(model, run / "best.weights.h5")
    arrays = {}
    for index, variable in enumerate([*model.variables, *optimizer.variables]):  # random layers' states included
        dtype = np.float32 if variable.dtype == "bfloat16" else None  # .npz knows no bfloat16
        arrays[f"v{index:04d}"] = np.asarray(variable, dtype)
    about = json.dumps({"recipe": recipe, "history": history})
    with paths.whole(run / "state.npz") as part:
        np.savez(part, about=np.array(about), **arrays)
    write_log(history, run)


def restore(run, model, optimizer, recipe):
    """Give model and optimizer the state in the folder `run`; returns its history, [] where nothing was trained.

    Raises ValueError where the state is damaged, or belongs to another recipe or network.
    """
    if not (run / "state.npz").exists():
        return []
    arrays, about = _read(run / "state.npz")
    asked = {
        name: value for name, value in recipe.items() if name != "data" or name in about["recipe"]
    }  # older: unsaid
    if about["recipe"] != json.loads(json.dumps(asked)):
        recipes = f"was trained by the recipe {about['recipe']}, asked for is {recipe}"
        raise ValueError(f"{run.name} {recipes}: {ADVICE}")
    variables = [*model.variables, *optimizer.variables]
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{run.name} holds another network: {ADVICE}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return about["history"]


def load_best(model, run):
    """Give `model` the weights in run/best.weights.h5. Raises ValueError where they are missing or damaged."""
    try:
        model.load_weights(run / "best.weights.h5")
    except OSError as error:
        advice = "delete the folder to start anew"
        raise ValueError(f"{run.name}: best.weights.h5 is missing or damaged: {advice}") from error


def digest(*arrays):
    """A checksum of pictures and labels, for a recipe: a resumed training must see the same ones."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def write_log(history, run):
    """Write a history to run/log.csv (columns LOG_COLUMNS)."""
    rows = [[row.get(column, "") for column in LOG_COLUMNS] for row in history]
    lines = [LOG_COLUMNS, *([f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    (run / "log.csv").write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")


def _read(state):
    """A state file's arrays, and its {"recipe", "history"}."""
    with open(state, "rb") as file:  # outside the `try`: a file that may not be opened is not a damaged one
        try:
            with np.load(file) as stored:
                about = json.loads(str(stored["about"]))
                return [stored[f"v{index:04d}"] for index in range(len(stored.files) - 1)], about
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{state} cannot be read ({error}): delete {state.parent.name} to start anew") from error
