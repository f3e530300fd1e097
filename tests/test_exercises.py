"""Exercises that check themselves: right answers are right, wrong ones get a hint, and every notebook has some."""

import json
import re

import numpy as np
import pytest

from helpers import exercises, paths

ENTRIES = json.loads(exercises.FILE.read_text(encoding="utf-8"))
WORDS = {key: entry for key, entry in ENTRIES.items() if "choices" in entry["recorded"]}
NUMBERS = {key: entry for key, entry in ENTRIES.items() if key not in WORDS}
CELL = re.compile(r'(?:from helpers\.exercises import check\n\n)?answer = None   # (.+)\ncheck\("(.+)", answer\)')


def said(key, answer):
    return exercises.verdict(ENTRIES[key], answer)


def is_hint(text):
    return text.startswith("not yet. ") and len(text) > 20 and "None" not in text


@pytest.mark.parametrize("key", ENTRIES)
def test_the_recorded_answer_is_right(key, capsys):
    exercises.check(key, ENTRIES[key]["recorded"]["answer"])
    assert capsys.readouterr().out == "right\n"
    assert said(key, None) == f"no answer yet: {ENTRIES[key]['asks']}"


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_are_right_within_the_tolerance(key):
    known = ENTRIES[key]["recorded"]
    answer, tolerance = known["answer"], known["tolerance"]
    for inside in (answer + 0.99 * tolerance, answer - 0.99 * tolerance, np.float32(answer), str(answer), [answer]):
        assert said(key, inside) == "right"
    beyond = 1.01 * tolerance + 0.001 * (abs(answer) or 1)
    assert is_hint(said(key, answer + beyond)) and is_hint(said(key, answer - beyond))


@pytest.mark.parametrize("key", NUMBERS)
def test_wrong_numbers_get_a_hint(key):
    entry, answer = ENTRIES[key], ENTRIES[key]["recorded"]["answer"]
    wrong = [answer + 7, -answer - 7, 1e9, float("nan"), [answer, answer], "many", "", {}, {"a": 1}, [[1], [1, 2]], 2j]
    for other in [*wrong, object(), len, np.zeros((2, 2)), 10**400, np.complex64(answer + 1j)]:
        assert is_hint(said(key, other)), other
    for name, value in entry["recorded"]["mistakes"].items():
        assert said(key, value) == f"not yet. {entry['hints'][name]}", name
    assert entry["hints"]["otherwise"] in said(key, answer + 7)


@pytest.mark.parametrize("key", WORDS)
def test_words(key):
    known = ENTRIES[key]["recorded"]
    assert said(key, f" {known['answer'].upper()}.") == "right"
    for choice in set(known["choices"]) - {known["answer"]}:
        assert said(key, choice) == f"not yet. {ENTRIES[key]['hints']['otherwise']}"
    for other in ("perhaps", "", 3, [], np.ones(2)):
        assert is_hint(said(key, other)) and f"Choose one of: {', '.join(known['choices'])}." in said(key, other)


def test_a_slip_of_sign_or_unit_is_named():
    entry = {"asks": "", "hints": {"otherwise": "Look."}}
    entry["recorded"] = {"answer": -0.5, "tolerance": 0.01, "mistakes": {}}
    told = {answer: exercises.verdict(entry, answer) for answer in (0.5, -50, -0.005, 0.3)}
    assert [text.removeprefix("not yet. ").removesuffix(" Look.") for text in told.values()] == [
        "The size is right, the sign is not.", "Per cent, or a share?", "A share, or per cent?", "Look."
    ]  # fmt: skip


def test_arrays():
    known = {"answer": [[1.0, 2.0], [3.0, 4.0]], "tolerance": 0.1, "mistakes": {"turned": [[1.0, 3.0], [2.0, 4.0]]}}
    entry = {"asks": "", "hints": {"otherwise": "Look.", "turned": "Turn it."}, "recorded": known}
    told = [
        exercises.verdict(entry, answer)
        for answer in ([[1, 2], [3, 4.1]], [[1, 3], [2, 4]], [1, 2, 3, 4], [[9] * 2] * 2)
    ]
    assert told == ["right", "not yet. Turn it.", "not yet. Wanted: numbers of shape (2, 2). Look.", "not yet. Look."]


def test_an_unknown_exercise_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'3\.2' is unknown; choose one of 00\.1, .*03\.2"):
        exercises.check("3.2", 1)


def test_a_run_records_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(exercises, "FILE", tmp_path / "exercises.json")
    empty = {"asks": "a number", "hints": {"otherwise": "Look."}, "recorded": {}}
    exercises.FILE.write_text(json.dumps({"1": empty, "2": empty}), encoding="utf-8")
    monkeypatch.delenv("EXERCISES_RECORD", raising=False)
    exercises.record("1", 5)
    assert json.loads(exercises.FILE.read_text())["1"] == empty
    monkeypatch.setenv("EXERCISES_RECORD", "1")
    exercises.record("1", np.float32(2914562), tolerance=1, half=np.int64(3))
    exercises.record("2", "yes", choices=("yes", "no"))
    number, word = json.loads(exercises.FILE.read_text()).values()
    assert number == empty | {"recorded": {"answer": 2914562.0, "tolerance": 1, "mistakes": {"half": 3.0}}}
    assert word == empty | {"recorded": {"answer": "yes", "choices": ["yes", "no"]}}
    with pytest.raises(ValueError, match="answer 'maybe': expected one of yes, no"):
        exercises.record("2", "maybe", choices=("yes", "no"))
    for key, answer, told in (("3", 1, "unknown"), ("1", range(17), "up to 16"), ("1", float("nan"), "finite")):
        with pytest.raises(ValueError, match=told):
            exercises.record(key, answer)


def code(folder, key):
    (path,) = folder.glob(f"{key}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(cell, "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", sorted({key.split(".")[0] for key in ENTRIES}))
def test_answer_cells_and_recordings_belong_together(notebook):
    mine = {key for key in ENTRIES if key.split(".")[0] == notebook}
    asked = [(cell, CELL.fullmatch(source)) for cell, source in code(paths.NOTEBOOKS, notebook) if 'check("' in source]
    assert all(match for _, match in asked) and [match[2] for _, match in asked] == sorted(mine)
    for cell, (asks, key) in ((cell, match.groups()) for cell, match in asked):
        assert asks == ENTRIES[key]["asks"]
        assert "".join(cell["outputs"][0]["text"]) == f"no answer yet: {asks}\n"
    solved = "\n".join(source for _, source in code(paths.NOTEBOOKS / "solutions", notebook))
    assert set(re.findall(r'exercises\.record\("([\w.]+)"', solved)) == mine


def test_every_notebook_has_three_answers_to_check():
    notebooks = {path.name.split("_")[0] for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb")}
    counts = {notebook: sum(key.split(".")[0] == notebook for key in ENTRIES) for notebook in notebooks}
    assert set(counts.values()) == {3}, counts
