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
    name = re.sub(r"[^\w.-]+", "_", title)[:120]
    numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    path = next(file for file in (FOLDER / f"{name}.png" for name in numbered) if not file.exists())
    words = {"Title": title, "Description": text, "Comment": json.dumps(settings, ensure_ascii=False)}
    with paths.whole(path) as part:
        figure.savefig(part, format="png", dpi=RESOLUTION, metadata=words)
    return path


def link(path):
    """HTML that names a saved file and offers it for download, from whatever server the page comes."""
    data = base64.b64encode(path.read_bytes()).decode()
    return LINK.format(path=html.escape(str(paths.relative(path))), data=data, name=html.escape(path.name))
