"""The page that lists the figures of a folder, each with its text alternative."""

import re

from helpers import paths
from helpers.plots.style import description

ANOTHER_RUN = re.compile("_(drawn|cifar10|quick|full|pretrained)$|_photos_")  # as .gitignore has them
PAGE = """# Figures

Written by `make figures`. Each figure carries a sentence for readers who cannot see it.

| figure | what it shows |
|---|---|
"""


def write(folder):
    """Write README.md in a folder of figures: a row a name, with its files and the sentence that they carry.

    Figures of another run than the stored ones, such as those of drawn stand-ins, are left out.
    """
    names = {}
    for path in sorted([*folder.glob("*.png"), *folder.glob("*.svg")]):
        if not ANOTHER_RUN.search(path.stem):
            names.setdefault(path.stem, []).append(path)
    rows = []
    for name, files in names.items():
        links = ", ".join(f"[{file.suffix[1:]}]({file.name})" for file in files)
        sentence = next(filter(None, map(description, files)), "").replace("|", r"\|")
        rows.append(f"| {name} ({links}) | {sentence} |\n")
    with paths.whole(folder / "README.md") as part:
        part.write_text(PAGE + "".join(rows), encoding="utf-8")
