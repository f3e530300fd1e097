"""The trained networks that come with the project: weights/<name>.weights.h5, described in <name>.json."""

import json

from helpers import paths

AGAIN = "Fetch it again (git checkout -- weights)"


def weights_file(name):
    """Where the weights of that name lie."""
    return paths.WEIGHTS / f"{name}.weights.h5"


def ship(model, name, about):
    """Write the weights of `model` and, beside them, `about` (a dict of plain values) with their sha256; returns it.

    Either file appears under its name only when it is whole.
    """
    save_weights(model, weights_file(name))
    return describe(name, about)


def save_weights(model, file):
    """Write the weights of `model` to `file`, which appears whole or not at all."""
    with paths.whole(file) as part:
        model.save_weights(part)


def describe(name, about):
    """Write `about` and the sha256 of the weights of that name, as they lie there, to <name>.json; returns both."""
    about = {**about, "sha256": paths.checksum(weights_file(name))}
    paths.write_json(about, paths.WEIGHTS / f"{name}.json")
    return about


def restore(model, name, advice):
    """Load the shipped weights of that name into `model` and return it.

    Raises FileNotFoundError where there are none, with `advice`, a command that makes them; OSError where the file or
    <name>.json is damaged, or one is not the other's; ValueError where it belongs to another network.
    """
    file = weights_file(name)
    if not file.exists():
        raise FileNotFoundError(f"weights/{file.name} is not there: fetch it with the project, or train it by {advice}")
    if file.with_name(f"{name}.json").exists() and paths.checksum(file) != known(name)["sha256"]:
        raise OSError(f"weights/{file.name} is damaged: its sha256 is not the one in {name}.json. {AGAIN}")
    try:
        model.load_weights(file)
    except OSError as error:
        raise OSError(f"weights/{file.name} is damaged: {error}. {AGAIN}") from error
    return model


def known(name):
    """What <name>.json says: recipe, measured accuracy, sha256. Raises OSError where it is damaged."""
    return read(paths.WEIGHTS / f"{name}.json", AGAIN)


def read(file, advice):
    """What a JSON file says. Raises OSError with `advice` where it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OSError(f"{file.parent.name}/{file.name} is damaged: {error}. {advice}") from error
