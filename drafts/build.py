"""notebook builder: text file with cells separated by lines '# %%' (code), '# %% [md]' (markdown), tags: '# %% tags=nbval-check-output'"""
import sys, re, nbformat, hashlib
from nbformat.v4 import new_notebook, new_code_cell, new_markdown_cell
def build(src, dst):
    cells=[]; kind=None; buf=[]; tags=[]
    def flush():
        if kind is None: return
        text="\n".join(buf).strip("\n")
        if not text: return
        c = new_markdown_cell(text) if kind=="md" else new_code_cell(text)
        if tags: c.metadata["tags"]=list(tags)
        c["id"]=f"cell-{len(cells):02d}"
        cells.append(c)
    for line in open(src, encoding="utf-8").read().split("\n"):
        m=re.match(r"# %%(.*)$", line)
        if m:
            flush(); buf=[]; rest=m.group(1)
            kind="md" if "[md]" in rest else "code"
            t=re.search(r"tags=(\S+)", rest); tags=t.group(1).split(",") if t else []
        else: buf.append(line)
    flush()
    nb=new_notebook(cells=cells, metadata={"kernelspec":{"display_name":"Python 3","language":"python","name":"python3"},"language_info":{"name":"python"}})
    nbformat.validate(nb); nbformat.write(nb,dst); print(dst,len(cells))
build(*sys.argv[1:3])
