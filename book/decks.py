"""What the slides show: for each notebook the slides of its deck in order, each a list of the notebook's cells.

cell-05     a Markdown cell's text, or a code cell's output     +cell-05   a code cell's source and output
cell-05.1   the second section of a Markdown cell               =cell-05   its source alone
cell-05:2   only the first two paragraphs of that               !cell-05   its figure fills the slide
"""

import re

ITEM = re.compile(r"([+=!]?)([\w-]+)(?:\.(\d+))?(?::(\d+))?")
HEADING = re.compile(r"^(?=#{1,4} )", re.MULTILINE)  # where a section begins

DECKS = {
    "00_start_here": [
        ["cell-00:2"],
        ["+cell-02", "cell-03"],
        ["cell-04", "cell-05"],
        ["=cell-04"],
        ["cell-06", "cell-07"],
        ["cell-10"],
        ["cell-13", "cell-14"],
        ["cell-15", "cell-16.0"],
        ["cell-16.1:2"],
    ],
    "03_grad_cam": [
        ["cell-00:2"],
        ["cell-02", "cell-03.0"],
        ["cell-03.1"],
        ["cell-03.2", "+cell-04"],
        ["cell-06", "cell-07.0"],
        ["cell-07.1", "cell-08"],
        ["cell-09.1", "cell-10", "cell-11.0"],
        ["cell-11.1", "+cell-12"],
        ["cell-13.1"],
        ["cell-14", "cell-15:1"],
        ["cell-16", "cell-17.0"],
        ["cell-18", "cell-19.0"],
        ["cell-19.1", "+cell-20"],
        ["cell-21"],
        ["!cell-24"],
        ["cell-26", "cell-27.0"],
        ["cell-27.1"],
        ["cell-27.2"],
    ],
    "05_case_studies": [
        ["cell-00:2"],
        ["cell-05", "cell-06"],
        ["cell-07"],
        ["cell-10"],
        ["cell-16"],
        ["!cell-17"],
        ["cell-18.0", "cell-18.1"],
        ["!cell-19"],
        ["cell-20.0", "cell-20.1"],
        ["!cell-21"],
        ["cell-22.0", "cell-22.1"],
        ["!cell-23"],
        ["cell-24.0", "cell-24.1"],
        ["cell-27", "cell-26"],
        ["cell-28.0"],
        ["cell-28.1"],
        ["cell-28.2"],
    ],
    "08_gcm_the_idea": [
        ["cell-00:2"],
        ["cell-03"],
        ["cell-54", "cell-55"],
        ["cell-08"],
        ["=cell-09", "cell-11"],
        ["cell-10", "cell-56"],
        ["cell-16", "+cell-17"],
        ["cell-19"],
        ["cell-21", "+cell-22"],
        ["cell-27", "cell-57"],
        ["!cell-36"],
        ["cell-35"],
        ["!cell-38"],
        ["cell-37"],
        ["cell-39", "cell-40"],
        ["cell-43", "cell-46"],
        ["!cell-44"],
        ["cell-47.0", "cell-47.1"],
        ["cell-48", "cell-49"],
        ["cell-53.1"],
    ],
}


def find(cells, item):
    """The number of the cell that an item names."""
    name = ITEM.fullmatch(item)[2]
    for number, cell in enumerate(cells):
        if cell["id"] == name:
            return number
    raise LookupError(f"{item}: the notebook has no cell {name!r}: correct book/decks.py")


def pictures(cell):
    """A code cell's outputs that are pictures: PNG, or HTML with a text alternative."""
    outputs = [(output, output.get("data", {})) for output in cell["outputs"]]
    return [output for output, data in outputs if "image/png" in data or "<img" in "".join(data.get("text/html", ""))]


def sections(cell):
    """A Markdown cell's sections: the text before its first heading, if any, then each heading with its text."""
    return [part for part in HEADING.split("".join(cell["source"])) if part.strip()]


def text(cells, item):
    """What an item shows of a Markdown cell."""
    cell = cells[find(cells, item)]
    _, _, section, paragraphs = ITEM.fullmatch(item).groups()
    parts = sections(cell)
    if section and int(section) >= len(parts):
        raise LookupError(f"{item}: that cell has {len(parts)} sections: correct book/decks.py")
    whole = parts[int(section)] if section else "".join(parts)
    return "\n\n".join(whole.split("\n\n")[: int(paragraphs) if paragraphs else None])


def heading_above(cells, item):
    """The words of the nearest heading above what an item shows."""
    number, section = find(cells, item), int(ITEM.fullmatch(item)[3] or 0)
    above = [part for cell in cells[:number] if cell["cell_type"] == "markdown" for part in sections(cell)]
    above += sections(cells[number])[:section] if section else []
    return [part.splitlines()[0].lstrip("# ") for part in above if HEADING.match(part)][-1]
