"""The command that trains a classifier."""

import json
import runpy
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from test_classifier import NAMES

from helpers import classifier, paths

SCRIPT = str(Path(__file__).resolve().parent.parent / "scripts" / "train_classifier.py")


def command(*arguments):
    runpy.run_path(SCRIPT)["main"](["--precision", "float32", "--epochs", "1", *map(str, arguments)])


def test_the_command_trains_on_a_folder_of_photos(runs, tmp_path, capsys):
    photos, run = tmp_path / "my photos", runs / "my photos"
    for label, name in enumerate(NAMES):
        (photos / name).mkdir(parents=True)
        for index in range(5):
            coarse = np.random.default_rng(index + 100 * label).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((60, 60)).save(photos / name / f"{index}.png")
    (broken := photos / "pizza" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match=r"error: .*okonomiyaki 5, pizza 5"):  # too few for the usual counts
        command("--photos", photos)
    command("--photos", photos, "--counts", 3, 1, 1)
    metrics, printed = json.loads((run / "metrics.json").read_text()), capsys.readouterr().out
    wanted = {"class_names": list(NAMES), "epochs": 1, "seed": 0, "pictures": [6, 2, 2]}
    assert {**metrics, **wanted} == metrics and metrics["seconds"] > 0
    assert "broken.jpg" in printed and 'WEIGHTS = "runs/my photos"' in printed
    manifest = (run / "manifest.csv").read_bytes()
    assert len(manifest.decode("utf-8").splitlines()) == 12
    assert classifier.load_trained("runs/my photos")[0].count_params() == 2_914_562
    broken.unlink()
    with pytest.raises(SystemExit, match="error: my photos was trained by the recipe"):
        command("--photos", photos, "--counts", 2, 1, 1)
    assert (run / "manifest.csv").read_bytes() == manifest  # another training's is left alone


def test_the_command_takes_a_split_folder_and_counts_copies_where_told(runs, tmp_path, monkeypatch):
    for label, name in enumerate(NAMES):
        coarse = np.random.default_rng(label).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        for split, first in (("train", 60), ("test", 80)):
            (tmp_path / "xrays" / split / name).mkdir(parents=True)
            for side in range(first, first + 4):  # all alike, no two the same
                file = tmp_path / "xrays" / split / name / f"{side}.png"
                Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(file)
    arguments = "--photos", tmp_path / "xrays", "--counts", 3, 1, 4
    with pytest.raises(SystemExit, match=r"okonomiyaki 4 \(0 different ones\) in train.*--near-duplicates keep"):
        command(*arguments)
    monkeypatch.setattr(classifier, "train", Mock(side_effect=FloatingPointError))
    with pytest.raises(SystemExit):
        command(*arguments, "--near-duplicates", "keep")
    assert [len(labels) for _, labels in classifier.train.call_args.args[1][:3]] == [6, 2, 8]


def test_the_command_trains_on_the_kitchen_and_ships(runs, capsys):
    command("--counts", 3, 1, 2, "--ship", "tiny")
    metrics = json.loads((paths.WEIGHTS / "tiny.json").read_text())
    assert metrics["source"] == "built-in kitchen" and metrics["pictures"] == [6, 2, 4]
    assert (paths.WEIGHTS / "tiny.weights.h5").stat().st_size < 6_000_000
    assert f"{100 * metrics['accuracy']:.1f} % of {metrics['pictures'][2]} (" in capsys.readouterr().out


def test_weights_of_another_kind_are_not_overwritten(runs):
    for name in ("gcm.weights.h5", "gcm.json"):
        paths.WEIGHTS.joinpath(name).write_text('{"variant": "gcm"}')
    with pytest.raises(SystemExit, match=r"error: weights/gcm\.\* are of another kind of network"):
        command("--counts", 2, 1, 1, "--ship", "gcm")
    assert paths.WEIGHTS.joinpath("gcm.weights.h5").read_text() == '{"variant": "gcm"}'


def test_the_command_ends_with_a_plain_message_for_wrong_numbers(runs):
    complaints = {"--counts 2 0 1": r"counts \[2, 0, 1\]: expected three positive numbers"}
    complaints |= {"--seed -1": "Seed must be between"}
    complaints |= {"--counts 1 1 1 --epochs 0": "epochs 0: at least 1 is needed"}
    complaints |= {"--network imagenet --ship mine": "--ship: only the blog's network is shipped"}
    for arguments, complaint in complaints.items():
        with pytest.raises(SystemExit, match=f"error: {complaint}"):
            command(*arguments.split())
    assert not list(runs.iterdir())
