"""Paths as readers give them, and as they are shown to them."""

from pathlib import Path

from helpers import paths


def test_a_given_path_starts_where_the_reader_is_or_from_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.given("helpers") == paths.ROOT / "helpers"
    (tmp_path / "helpers").mkdir()
    assert paths.given("helpers").resolve() == (tmp_path / "helpers").resolve()
    assert paths.given(tmp_path) == tmp_path and paths.given(tmp_path / "missing") == tmp_path / "missing"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.given("~/helpers") == tmp_path / "helpers"
    assert paths.given("~cat.jpg") == paths.ROOT / "~cat.jpg", "a name of its own, not somebody's home"


def test_paths_are_shown_relative_to_the_project():
    assert paths.relative(paths.ROOT / "runs" / "kitchen") == Path("runs/kitchen")
    assert paths.relative(Path("/elsewhere/runs")) == Path("/elsewhere/runs")
