"""A page to weed collected photos by eye: one click marks a photo, the page writes the lines for exclude.txt."""

import html
from pathlib import Path
from urllib.parse import quote

from helpers.photos import attributions

_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Contact sheet</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 0 1rem 2rem; background: #fafafa; color: #222 }}
header {{ position: sticky; top: 0; background: #fafafae8; padding: .6rem 0; z-index: 1 }}
textarea {{ width: 30rem; max-width: 100%; height: 3.2rem; vertical-align: top }}
section {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(168px, 1fr)); gap: 10px }}
figure {{ margin: 0; font-size: 11px; color: #555; overflow-wrap: anywhere }}
img {{ width: 100%; aspect-ratio: 1; object-fit: cover; cursor: pointer; border-radius: 3px; display: block }}
.weed img {{ opacity: .25; outline: 4px solid #c8352b; outline-offset: -4px }}
</style>
<header><b>Click what does not belong.</b> Then put these lines into <code>{exclude}</code> beside this page and collect
again: others take their place. <span id="count"></span><br><textarea id="lines" readonly></textarea></header>
{sections}
<script>
const weeded = new Set(), lines = document.getElementById("lines"), count = document.getElementById("count");
document.querySelectorAll("figure").forEach(figure => figure.querySelector("img").onclick = () => {{
  const marked = figure.classList.toggle("weed");
  marked ? weeded.add(figure.dataset.file) : weeded.delete(figure.dataset.file);
  lines.value = [...weeded].sort().join("\\n"); count.textContent = weeded.size + " marked";
}});
</script></html>
"""


def write(folder):
    """Write contact_sheet.html for the photos that attributions.csv in `folder` credits; returns its path."""
    folder = Path(folder)
    rows = attributions.read(folder)
    labels, sections = [row["file"].split("/")[0] for row in rows], []
    for label in dict.fromkeys(labels):
        figures = [_figure(row) for row, own in zip(rows, labels, strict=True) if own == label]
        sections.append(f"<h2>{html.escape(label)}: {len(figures)}</h2><section>{''.join(figures)}</section>")
    path = folder / attributions.CONTACT_SHEET
    path.write_text(_PAGE.format(exclude=attributions.EXCLUDE, sections="\n".join(sections)), encoding="utf-8")
    return path


def _figure(row):
    text = {name: html.escape(value or "") for name, value in row.items()}
    credit = attributions.credit(text["licence"], text["creator"])
    if row["page_url"].startswith(("https://", "http://")):
        credit = f'<a href="{text["page_url"]}">{credit}</a>'
    image = f'<img loading="lazy" src="{quote(row["file"])}" alt="" title="{text["title"]}">'
    return f'<figure data-file="{text["file"]}">{image}{credit}<br>{text["file"]}</figure>\n'
