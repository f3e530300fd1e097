import hashlib
import json

import pytest

from helpers import checkup


@pytest.mark.parametrize("minor, ok", [(9, False), (10, True), (13, True), (14, False)])
def test_python_versions(minor, ok):
    check = checkup.python((3, minor, 1))
    assert check.ok is ok and ("make PYTHON=" in check.text) is not ok


def test_this_environment_and_the_weights_of_the_project_are_complete():
    assert checkup.packages().ok and checkup.weights().ok


def test_missing_and_old_packages_are_named(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy>=1 # fine\nno-such-package>=1\npytest<0.1\n\n# a comment\n")
    ok, text = checkup.packages(requirements)
    assert not ok and "numpy" not in text
    assert all(part in text for part in ("no-such-package is missing", "pytest", "pip install -r requirements.txt"))


def test_weights_are_compared_with_their_checksum(tmp_path):
    assert checkup.weights(tmp_path).ok is False  # a clone without weights is not ready
    file = tmp_path / "a.weights.h5"
    (tmp_path / "a.json").write_text(json.dumps({"sha256": hashlib.sha256(b"numbers").hexdigest()}))
    for data, ok in ((b"numbers", True), (b"other numbers", False)):
        file.write_bytes(data)
        assert checkup.weights(tmp_path).ok is ok
    assert file.name in checkup.weights(tmp_path).text
    file.unlink()
    assert not checkup.weights(tmp_path).ok
    for damaged in ('{"sha256": "39be', "{}", "[]"):
        (tmp_path / "a.json").write_text(damaged)
        assert "missing or changed: a or its description" in checkup.weights(tmp_path).text


def test_a_key_is_never_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("FLICKR_API_KEY", "very-secret")
    monkeypatch.delenv("FLICKR_API_SECRET", raising=False)
    monkeypatch.setattr(checkup.paths, "ROOT", tmp_path)
    (tmp_path / ".env").write_text("FLICKR_API_SECRET=\n")  # copied, and not yet filled in
    assert checkup.flickr_key().ok is None
    monkeypatch.setenv("FLICKR_API_SECRET", "very-secret, too")
    lines = [str(check) for check in checkup.everything()]
    assert "[OK]   a Flickr key is set" in lines and not any("very-secret" in line for line in lines)


def test_optional_things_do_not_fail(monkeypatch, tmp_path):
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.setattr(checkup.paths, "DATA", tmp_path)
    assert checkup.cifar10().ok is None
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path))
    assert checkup.cifar10().ok is None
    (tmp_path / "test_batch.bin").touch()
    assert checkup.cifar10().ok
