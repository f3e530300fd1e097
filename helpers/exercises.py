"""Exercises that check themselves: `check("03.2", answer)` says "right", or gives a hint.

Nobody types what is right: the solutions `record` what they find, `make answers` keeps it in exercises.json, under
"recorded". What an exercise asks for and its hints stand beside that, written by hand: a new exercise begins there.
"""

import json
import os
from pathlib import Path

import numpy as np

from helpers import paths

FILE = Path(__file__).with_suffix(".json")
MOST = 16  # numbers of an answer that is an array
RIGHT = "right"


def check(exercise, answer=None):
    """Print "right" or a hint; without an answer, what is asked for. Returns nothing.

    exercise: the notebook and the number, as "03.2". answer: a number in the unit that the exercise names, a word, or
    an array of numbers; for anything else the hint says what is wanted.
    Raises ValueError for an exercise that is not known, and names those that are.
    """
    print(verdict(_find(_read(), exercise), answer))


def verdict(entry, answer):
    """What `check` prints of an answer to the exercise with that entry of exercises.json."""
    if answer is None:
        return f"no answer yet: {entry['asks']}"
    known, hints = entry["recorded"], entry["hints"]
    right, mistake, remark = (_word if "choices" in known else _number)(known, answer)
    return RIGHT if right else " ".join(filter(None, ["not yet.", remark, hints.get(mistake, hints["otherwise"])]))


def record(exercise, answer, tolerance=0, choices=(), **mistakes):
    """Keep what a solution found as the exercise's answer, where EXERCISES_RECORD is set; elsewhere nothing happens.

    answer: a number, up to 16 numbers or one of the words in `choices`. tolerance: the largest difference that counts
    as right, in the answer's unit. mistakes: plausible wrong numbers, {name: value}, or none; the hint of that name is
    shown for them. Raises ValueError for an exercise without hints and for an answer that cannot be kept.
    """
    if not os.environ.get("EXERCISES_RECORD"):
        return
    if choices:
        if answer not in choices:
            raise ValueError(f"answer {answer!r}: expected one of {', '.join(choices)}")
        known = {"answer": answer, "choices": list(choices)}
    else:
        known = {"answer": _plain(answer), "tolerance": tolerance}
        known["mistakes"] = {name: _plain(value) for name, value in mistakes.items()}
    entries = _read()
    _find(entries, exercise)["recorded"] = known
    with paths.whole(FILE) as part:
        part.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read():
    return json.loads(FILE.read_text(encoding="utf-8"))


def _find(entries, exercise):
    if exercise not in entries:
        raise ValueError(f"exercise {exercise!r} is unknown; choose one of {', '.join(entries)}")
    return entries[exercise]


def _plain(answer):
    """Numbers as JSON holds them, of eight digits; ValueError where there are too many or one is not finite."""
    values = np.asarray(answer, float)
    if values.size > MOST or not np.isfinite(values).all():
        raise ValueError(f"answer {answer!r}: expected up to {MOST} finite numbers")
    return np.vectorize(lambda value: float(f"{value:.8g}"))(values).tolist()


def _word(known, answer):
    """(Whether it is right, the choice that it is, a remark); capitals, blanks and hyphens do not matter."""
    said = {_letters(word): word for word in known["choices"]}.get(_letters(answer))
    return said == known["answer"], said, "" if said else f"Choose one of: {', '.join(known['choices'])}."


def _letters(word):
    return "".join(filter(str.isalnum, str(word).casefold()))


def _number(known, answer):
    """(Whether it is right, the name of the known mistake that it is, a remark on its shape, sign or size)."""
    wanted = np.asarray(known["answer"], float)
    try:
        given = np.empty(0) if np.iscomplexobj(answer) else np.asarray(answer, float)
    except (TypeError, ValueError, OverflowError):
        given = np.empty(0)
    if wanted.size == given.size == 1:
        given = given.reshape(wanted.shape)
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return False, None, f"Wanted: numbers of shape {wanted.shape}." if wanted.ndim else "Wanted: one number."

    def near(values, other):
        return bool(np.all(np.abs(values - np.asarray(other)) <= known["tolerance"] + 1e-7 * np.abs(other)))

    mistake = next((name for name, value in known["mistakes"].items() if near(given, value)), None)
    slips = {"The size is right, the sign is not.": -1, "Per cent, or a share?": 0.01, "A share, or per cent?": 100}
    slip = next((remark for remark, factor in slips.items() if wanted.any() and near(factor * given, wanted)), "")
    return near(given, wanted), mistake, "" if mistake else slip
