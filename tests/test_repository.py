"""What a reader trips over: stored outputs, links, figures, sizes."""

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ipykernel.kernelspec import get_kernel_dict

from helpers import paths
from helpers.collecting import flickr

NOTEBOOKS = sorted(paths.NOTEBOOKS.rglob("[0-9]*.ipynb"))
ROOMS = (".", "helpers", "weights", "benchmarks")
PAGES = [*(paths.ROOT / room / "README.md" for room in ROOMS), *sorted(paths.ROOT.glob("docs/*.md")), *NOTEBOOKS]
PLACES = re.compile(r"/(root|home|tmp|work|Users)/")


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if not listed.stdout:
        pytest.skip("not a git checkout")
    return [paths.ROOT / name for name in listed.stdout.split("\0") if name and (paths.ROOT / name).exists()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_come_from_one_clean_run(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    texts = [json.dumps([output.get("text", ""), output.get("data", {}).get("text/plain", "")]) for output in outputs]
    assert not [text for text in texts if PLACES.search(text)]
    for cell in cells:
        shown = any("text/markdown" in output.get("data", {}) for output in cell["outputs"])
        assert shown or "plots.table(" not in "".join(cell["source"]), f"{cell['id']}: its table is not its last line"
    if path.parent == paths.NOTEBOOKS:
        assert any("image/png" in output.get("data", {}) for output in outputs), "no picture"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_the_mode_is_chosen_once(path):
    sources = ["".join(cell["source"]) for cell in code_cells(path)]
    assert max(len(source.splitlines()) for source in sources) <= 20
    assert sum("runtime.mode(" in source for source in sources) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_opening_a_notebook_changes_nothing_in_it(path):
    """JupyterLab writes the running kernel's names into an opened notebook; then git, and the reader, see a change."""
    text = path.read_text(encoding="utf-8")
    notebook, kernel = json.loads(text), get_kernel_dict()
    wanted = {"display_name": kernel["display_name"], "language": kernel["language"], "name": "python3"}
    assert notebook["metadata"]["kernelspec"] == wanted
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"  # as it is saved


def relative_links(path):
    """Where the links and pictures of a page lead, as absolute paths."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    links += re.findall(r'(?:src|href)="(?!https?:|#|mailto:)([^"#]+)"', text)
    return [(path.parent / link).resolve() for link in links]


@pytest.mark.parametrize("path", [page for page in PAGES if page.exists()], ids=lambda path: path.stem)
def test_links_and_pictures_lead_somewhere(path):
    assert not [link for link in relative_links(path) if not (link.exists() and link.is_relative_to(paths.ROOT))]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_lab_serves_everything_opens_the_first_notebook_and_takes_large_uploads():
    """What it runs, without running it."""
    make = ["make", "-n", "-o", ".venv/installed", "lab", "ARGS=--port 9000 --no-browser"]
    done = subprocess.run(make, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    lab = dict(part.partition("=")[::2] for part in shlex.split(done.stdout.replace("\\\n", " ")))
    served, opened = Path(lab["--ServerApp.root_dir"]), lab["--LabApp.default_url"].removeprefix("/lab/tree/")
    assert (served, served / opened) == (paths.ROOT, NOTEBOOKS[0])
    limit = ast.literal_eval(lab["--ServerApp.tornado_settings"])["websocket_max_message_size"]
    assert int(lab["UPLOAD_MB"]) >= 100 and limit >= 1.02 * 1e6 * int(lab["UPLOAD_MB"])
    assert {"--port", "9000", "--no-browser"} <= lab.keys()


def test_only_the_notebooks_that_are_named_run(monkeypatch):
    monkeypatch.syspath_prepend(paths.ROOT / "scripts")
    script = importlib.import_module("run_notebooks")
    assert [path.stem for path in script.choose(["03", "10_which"], False)] == ["03_grad_cam", "10_which_to_believe"]
    monkeypatch.setattr(sys, "argv", ["run_notebooks.py", "03", "99"])
    with pytest.raises(SystemExit, match="no notebook begins with 99; there are: 00_start_here, "):
        script.main()


def test_nothing_is_too_large():
    files = tracked_files()
    assert sum(path.stat().st_size for path in files) < 50e6
    figures = [path.stat().st_size for path in (paths.ROOT / "figures").iterdir() if path in files]
    assert max(figures) < 400e3 and sum(figures) < 6e6
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 12e6
    assert sum(path.stat().st_size for path in (paths.ROOT / "weights").glob("kitchen_cnn*")) < 12e6


def test_the_page_of_weights_names_every_checksum():
    page = (paths.WEIGHTS / "README.md").read_text(encoding="utf-8")
    for about in paths.WEIGHTS.glob("*.json"):
        sha256 = json.loads(about.read_text(encoding="utf-8"))["sha256"]
        assert f"| `{about.stem}` | `{sha256}` |" in page, about.stem


def test_no_file_names_a_place_of_this_machine_or_holds_a_key():
    assert ".env" in (paths.ROOT / ".gitignore").read_text(encoding="utf-8").split()
    own_keys = [key for key in flickr._keys() if key]  # of whoever runs the tests
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert "/work" + "/" not in text, path
        assert not any(key in text for key in own_keys), path
        assert not re.search(r"(api_key|API_KEY|API_SECRET)[\"']?\s*[=:]\s*[\"']?[0-9a-f]{16}", text), path
        if path.suffix == ".ipynb":
            shown = json.dumps([[cell["source"], cell.get("outputs")] for cell in json.loads(text)["cells"]])
            shown = re.sub(r'"model_id": "\w+"', "", shown)  # a widget's number, shaped like a key
            assert not re.search(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", shown), path


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_an_environment_without_pip_is_completed(tmp_path):
    """What `python3 -m venv` leaves behind where the system's own part of it (Debian's python3-venv) is missing."""
    shutil.copy(paths.ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    make = ["make", ".venv/installed", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / ".venv" / "installed").exists(), done.stderr
