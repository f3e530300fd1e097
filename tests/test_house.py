"""Imports that must never exist: which room may know which other one (helpers/README.md)."""

import ast

import pytest

from helpers import paths

HELPERS = paths.ROOT / "helpers"
ANYTHING = {path.stem for path in HELPERS.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
FORBIDDEN = {  # importers: what none of them may import
    ("tracing", "maps"): ANYTHING - {"tracing", "maps"},
    ("gradcam", "guided", "integrated", "blackbox"): {"faithfulness", "gcm", "plots", "dishes", "training"},
    ("faithfulness",): {"gradcam", "guided", "gcm", "dishes"},
    ("gcm/model",): {"tracing", "training", "gcm.training", "gcm.explainer", "gcm.variants"},
    ("photos",): {"collecting"},
    ("language",): {"gradcam", "guided", "faithfulness"},
    ("training",): {"photos", "dishes", "gcm", "language", "collecting"},
    ("dishes", "plots"): ANYTHING - {"dishes", "plots", "paths"},
    ("collecting",): {"classifier", "training", "gradcam", "plots"},
    (*sorted(ANYTHING),): {"viewer", "checkup"},
}


def imports(path):
    """Yield (line, what is imported) of a module: the dotted names below `helpers`; ruff allows no relative ones."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name.name}" for name in node.names]
        else:
            continue
        yield from ((node.lineno, name.removeprefix("helpers.")) for name in names if name.startswith("helpers."))


def arrows(importers, forbidden):
    """The imports of `forbidden` in the modules of `importers`, as "file:line imports name"."""
    found = []
    for path in sorted(HELPERS.rglob("*.py")):
        place = path.relative_to(HELPERS).with_suffix("").as_posix()
        room = next((own for own in importers if f"{place}/".startswith(f"{own}/")), None)
        for line, name in imports(path) if room else ():
            if any(f"{name}.".startswith(f"{other}.") for other in forbidden) and name.split(".")[0] != room:
                found.append(f"helpers/{place}.py:{line} imports {name}")
    return found


@pytest.mark.parametrize("importers", FORBIDDEN, ids=lambda rooms: " ".join(rooms)[:40])
def test_no_room_imports_what_it_must_not_know(importers):
    assert all((HELPERS / f"{room}.py").exists() or (HELPERS / room).is_dir() for room in importers)
    assert arrows(importers, FORBIDDEN[importers]) == []


def test_only_tracing_uses_keras_private_layers():
    users = [path for path in sorted(HELPERS.rglob("*.py")) if "_flatten_layers" in path.read_text(encoding="utf-8")]
    assert {path.parent.name for path in users} == {"tracing"}


def test_no_circle_between_rooms():
    rooms = {room: set() for room in ANYTHING}
    for path in HELPERS.rglob("*.py"):
        room = path.relative_to(HELPERS).with_suffix("").parts[0]
        rooms[room] |= {name.split(".")[0] for _, name in imports(path)} & ANYTHING - {room}
    while leaves := [room for room, known in rooms.items() if not known & rooms.keys()]:
        for room in leaves:
            del rooms[room]
    assert not rooms, f"a circle among {', '.join(sorted(rooms))}"


def test_doors_only_hand_names_on_and_are_few():
    assert len(ANYTHING) <= 24
    for door in HELPERS.glob("*/__init__.py"):
        nodes = ast.parse(door.read_text(encoding="utf-8")).body
        assert all(isinstance(node, (ast.Expr, ast.ImportFrom)) for node in nodes), door
        assert len(door.read_text(encoding="utf-8").splitlines()) < 25, door


def test_no_file_is_longer_than_250_lines():
    folders = ("helpers", "tests", "scripts", "benchmarks", "book")
    files = [path for folder in folders for path in paths.ROOT.glob(f"{folder}/**/*.py")]
    assert [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 250] == []
