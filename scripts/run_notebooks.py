"""Run the notebooks top to bottom without a browser, a progress line for each; copies two at a time.

python scripts/run_notebooks.py             copies of all of them: results in build/notebooks/ and figures/
python scripts/run_notebooks.py 03 05       only those whose names begin so
python scripts/run_notebooks.py --inplace   the stored notebooks themselves
python scripts/run_notebooks.py --record    copies of the solutions, whose results become helpers/exercises.json
python scripts/run_notebooks.py --language ja --format svg   figures with Japanese labels, as vectors, in figures/ja/
"""

import argparse
import base64
import html
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import paths
from helpers.plots import listing
from helpers.plots.style import SHOWN, UNTRANSLATED, in_few_colours

os.environ["TQDM_DISABLE"] = "1"  # nobody watches: no progress bars in stored outputs
COPIES = paths.ROOT / "build" / "notebooks"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of notebook names; none: all")
    parser.add_argument("--inplace", action="store_true", help="store the outputs in the notebooks themselves")
    parser.add_argument("--record", action="store_true", help="record the exercises' answers from the solutions")
    parser.add_argument("--language", choices=("en", "ja"), default="en", help="of the figures' labels")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the figures' files")
    arguments = parser.parse_args()
    chosen = choose(arguments.names, with_solutions=arguments.inplace, only_solutions=arguments.record)
    if unknown := [
        name for name in arguments.names if not any(f"{path.stem}_".startswith(f"{name}_") for path in chosen)
    ]:
        there = ", ".join(path.stem for path in sorted(paths.NOTEBOOKS.glob("*.ipynb")))
        sys.exit(f"no notebook begins with {' or '.join(unknown)}; there are: {there}")
    ask_for_figures(arguments.language, arguments.format)
    if arguments.record:
        os.environ |= {"EXERCISES_RECORD": "1", "NOTEBOOK_MODE": "load"}
    before = time.time()
    if arguments.inplace or arguments.record or (os.cpu_count() or 1) < 2:  # times are stored, and one file is written
        results = [run(path, arguments.inplace) for path in chosen]
    else:
        chosen = chosen[:1] + chosen[:0:-1]  # the longest ones are the last: they start right after the check of 00
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(run, chosen))
    failed = [path.name for path, ran in zip(chosen, results, strict=True) if not ran]
    written = sorted(path.name for path in paths.FIGURES.glob("*.*g") if path.stat().st_mtime >= before)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} notebooks ran in {(time.time() - before) / 60:.1f} minutes.")
    if written:
        print(f"Look at the {len(written)} pictures in {paths.relative(paths.FIGURES)}/: " + ", ".join(written))
    listing.write(paths.FIGURES)
    if not arguments.inplace:
        print("The executed copies are in build/notebooks/.")
    if (english := paths.FIGURES / UNTRANSLATED).exists():
        print(
            f"Still English; add these words to helpers/plots/terms.py:\n{english.read_text(encoding='utf-8').strip()}"
        )
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def ask_for_figures(language, kind):
    """Tell the notebooks' kernels how to write figures; Japanese ones lie in a folder of their own."""
    if language != "en":
        paths.FIGURES = paths.FIGURES / language
    paths.FIGURES.mkdir(parents=True, exist_ok=True)
    (paths.FIGURES / UNTRANSLATED).unlink(missing_ok=True)
    os.environ |= {"FIGURES_LANGUAGE": language, "FIGURES_FORMAT": kind, "FIGURES_DIR": str(paths.FIGURES)}


def choose(names, with_solutions, only_solutions=False):
    found = [] if only_solutions else sorted(paths.NOTEBOOKS.glob("*.ipynb"))
    if with_solutions or only_solutions:
        found += sorted((paths.NOTEBOOKS / "solutions").glob("*.ipynb"))
    return [path for path in found if not names or any(f"{path.stem}_".startswith(f"{name}_") for name in names)]


def run(path, inplace=False):
    """Execute one notebook; True where every cell ran."""
    print(f"       {path.stem} ...", flush=True)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,  # a page without its kernel shows its text
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # a kernel's warnings tear the progress lines
    )
    started, problem = time.perf_counter(), None
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        problem = str(error).strip()
    print(f"{time.perf_counter() - started:4.0f} s {path.stem}" + (" FAILED" if problem else ""), flush=True)
    if problem:
        print(problem)
    if not (problem and inplace):  # a failed run never replaces a stored notebook
        target = path if inplace else COPIES / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shrink(notebook)
        nbformat.write(notebook, target)
    return problem is None


def shrink(notebook):
    """Store each of a notebook's pictures as a PNG in few colours, as figures are, with its text alternative beside it.

    A kernel shows figures as HTML, for JupyterLab; whatever reads a stored notebook looks for PNG pictures.
    """
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    for output in outputs:
        if "image/png" in output.data:
            picture = in_few_colours(base64.b64decode(output.data["image/png"]))
            output.data["image/png"] = base64.b64encode(picture).decode()
        elif shown := SHOWN.fullmatch(output.data.get("text/html", "")):
            del output.data["text/html"]
            output.data["image/png"] = shown[2]
            output.metadata["image/png"] = {"alt": html.unescape(shown[1])}


if __name__ == "__main__":
    main()
