"""One library, one network, one method, in a process of its own: started and asked by `peers.py`.

Reads {"batch": n, "save": path or null} a line from standard input and answers each with {"seconds", "megabytes"}: the
time of one call on n pictures, and the process's peak memory so far, above what it had before the first call.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: I001  first: it quietens TensorFlow

import contenders
import numpy as np


def megabytes(field):
    """VmRSS, the memory in use, or VmHWM, its peak, of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main():
    network_name, method, library = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print goes to the log
    runtime.setup(seed=0, precision="float32")
    build, size = contenders.NETWORKS[network_name]
    subject = build()
    function = (
        contenders.forward_pass(subject.network)
        if library == "forward pass"
        else contenders.METHODS[method][library](subject)
    )
    before = megabytes("VmRSS")
    print(json.dumps({"size": size}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        images = contenders.pictures(question["batch"], size)
        start = time.perf_counter()
        maps = function(images)
        seconds = time.perf_counter() - start
        if question["save"]:
            np.save(question["save"], maps)
        measured = {"seconds": seconds, "megabytes": megabytes("VmHWM") - before}
        print(json.dumps(measured), file=answers, flush=True)


if __name__ == "__main__":
    main()
