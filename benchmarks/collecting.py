"""How fast and in how much memory photos are collected from a server on this machine (small pictures, no rate limit).

python benchmarks/collecting.py
"""

import functools
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import collecting
from helpers.collecting import practice
from helpers.collecting.openverse import Openverse

PHOTOS, SIDE = 2000, 128


def jpeg(seed):
    blobs = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(blobs).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


class Answers(practice.Handler):
    """Openverse with PHOTOS photos, 400 for each of the words "0", "1", …"""

    def __init__(self, pictures, *args):
        self.pictures = pictures
        super().__init__(*args)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/photo/"):
            return self.send(self.pictures[int(path[7:])], "image/jpeg")
        params = dict(urllib.parse.parse_qsl(query))
        first = 400 * int(params["q"])
        results = [
            {"id": f"{n:05d}", "url": f"{self.server.url}/photo/{n}", "license": "by", "license_version": "2.0"}
            for n in range(first, first + 400)
        ]
        return self.send(practice.openverse_answer(results, params))


def serve(pipe):
    server = practice.Server(functools.partial(Answers, [jpeg(n) for n in range(PHOTOS)]))
    pipe.send(server.url)
    pipe.recv()


def main():
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    source = Openverse(url=f"{here.recv()}/v1/images/", call_gap=0, photo_gap=0, allow_private=True)
    words = [str(word) for word in range(PHOTOS // 400)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {SIDE}x{SIDE} JPEG, server in a process of its own")
    with tempfile.TemporaryDirectory() as folder:
        for count in range(PHOTOS // 4, PHOTOS + 1, PHOTOS // 4):
            began, busy = time.perf_counter(), time.process_time()
            report = collecting.collect(source, "dish", words, count, folder, smallest=SIDE, progress=False)
            rate, cost = report.fetched / (time.perf_counter() - began), (time.process_time() - busy) / report.fetched
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{report.kept:5d} photos, {rate:5.0f} a second, {cost * 1000:.1f} ms of CPU each, "
                f"memory at most {memory:.0f} MB"
            )
    here.send("done")


if __name__ == "__main__":
    main()
