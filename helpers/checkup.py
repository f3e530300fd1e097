"""Is this machine ready for the notebooks? Each check is one line that says what to do where something is missing."""

import importlib.metadata
import json
import os
import sys
from typing import NamedTuple

from packaging.requirements import Requirement

from helpers import paths


class Check(NamedTuple):
    """One line: `ok` True or False, or None for something optional that is not here."""

    ok: bool | None
    text: str

    def __str__(self):
        return f"{ {True: '[OK]  ', False: '[FAIL]', None: '[--]  '}[self.ok] } {self.text}"


def everything():
    """All checks, the needed ones first. Nothing is downloaded, no key is shown."""
    return [python(), packages(), weights(), writable(), cifar10(), flickr_key()]


def python(version=sys.version_info):
    """Is this Python one that TensorFlow supports?"""
    number, ok = ".".join(map(str, version[:3])), (3, 10) <= tuple(version[:2]) <= (3, 13)
    advice = "" if ok else "; TensorFlow needs 3.10 to 3.13: make PYTHON=python3.12 figures"
    return Check(ok, f"Python {number}{advice}")


def packages(requirements=paths.ROOT / "requirements.txt"):
    """Is every requirement installed, in a version inside its bounds?"""
    lines = [line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    if problems := list(filter(None, map(_package_problem, wanted))):
        return Check(False, f"packages: {'; '.join(problems)}: pip install -r requirements.txt")
    return Check(True, f"{len(wanted)} packages of requirements.txt")


def _package_problem(requirement):
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    return "" if version in requirement.specifier else f"{requirement.name} {version} is not {requirement.specifier}"


def weights(folder=paths.WEIGHTS):
    """Are the trained weights here, byte for byte as their descriptions say?"""
    stated = sorted(folder.glob("*.json"))
    broken = list(filter(None, map(_weights_problem, stated)))
    if broken or not stated:
        return Check(False, f"weights missing or changed: {', '.join(broken) or 'all'}: git checkout -- weights")
    return Check(True, f"{len(stated)} files in weights/")


def _weights_problem(description):
    try:
        about = json.loads(description.read_text(encoding="utf-8"))
        file = description.with_name(about.get("file", f"{description.stem}.weights.h5"))
        return "" if paths.checksum(file) == about["sha256"] else file.name
    except (FileNotFoundError, ValueError, KeyError, AttributeError):
        return f"{description.stem} or its description"


def writable():
    """Can figures be written?"""
    paths.FIGURES.mkdir(parents=True, exist_ok=True)
    if os.access(paths.FIGURES, os.W_OK):
        return Check(True, "figures/ can be written")
    return Check(False, "figures/ cannot be written: clone the project into a folder of your own")


def cifar10():
    """Is CIFAR-10 here (for notebooks 08 and 09)? Optional."""
    folder = paths.given(os.environ.get("CIFAR10_DIR") or paths.DATA / "cifar-10-batches-bin")
    if (folder / "test_batch.bin").exists():
        return Check(True, "CIFAR-10 is here")
    return Check(None, "CIFAR-10 is not here: notebooks 08 and 09 let Keras download it, or use a drawn stand-in")


def flickr_key():
    """Is there a Flickr API key (for notebook 01)? Optional, and never shown."""
    try:
        from helpers.collecting import flickr  # not above: its packages may be what is missing
    except ImportError:
        return Check(None, "no Flickr key was looked for: packages are missing")
    if flickr.has_key():
        return Check(True, "a Flickr key is set")
    return Check(None, "no Flickr key: notebook 01 uses Openverse, which needs none")
