"""What the page explains as a PNG file that says by itself what it shows, and how it was made."""

import base64
import html
import itertools
import json
import re

from helpers import paths

FOLDER = paths.ROOT / "saved"
RESOLUTION = 200  # dots an inch: twice that of the figures
LINK = """Saved as {path}. <a href="data:image/png;base64,{data}" download="{name}"><u>Download it</u></a>"""


def save(figure, title, text, settings):
    """Write `figure` to saved/<title>.png, under a new name where that is taken, and return its path.

    The file's own words: the title; `text`, what it shows for readers who do not see it; and the settings as JSON.
    """
    FOLDER.mkdir(exist_ok=True)
    [path] = untaken(FOLDER, title, ".png")
    words = {"Title": title, "Description": text, "Comment": json.dumps(settings, ensure_ascii=False)}
    with paths.whole(path) as part:
        figure.savefig(part, format="png", dpi=RESOLUTION, metadata=words)
    return path


def untaken(folder, title, *endings):
    """The paths in `folder` of files called as `title`, one for each ending, with a number where one of them exists."""
    name = re.sub(r"[^\w.-]+", "_", title).encode()[:200].decode(errors="ignore")  # most file systems take 255 bytes
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    paths_of = ([folder / f"{one}{ending}" for ending in endings] for one in names)
    return next(files for files in paths_of if not any(file.exists() for file in files))


def link(path):
    """HTML that names a saved file and offers it for download, from whatever server the page comes."""
    data = base64.b64encode(path.read_bytes()).decode()
    return LINK.format(path=html.escape(str(paths.relative(path))), data=data, name=html.escape(path.name))
