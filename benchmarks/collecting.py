"""How fast and in how much memory photos are collected from a server on this machine (small pictures, no rate limit).

python benchmarks/collecting.py
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # the server is theirs

import fake_services as fake

from helpers import collecting
from helpers.collecting.openverse import Openverse

PHOTOS, A_WORD, SIDE = 2000, 400, 128


def serve(pipe):
    """Openverse with PHOTOS photos, A_WORD for each of the words "0", "1", …"""
    server = fake.FakeServices([f"{number:05d}" for number in range(PHOTOS)])
    server.found = lambda word: server.photos[A_WORD * int(word) :][:A_WORD]
    server.pictures = {name: fake.jpeg(number, SIDE, SIDE) for number, name in enumerate(server.photos)}
    pipe.send(server.openverse_url)
    pipe.recv()


def main():
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True).start()
    source = Openverse(url=here.recv(), **fake.QUICK)
    words = [str(word) for word in range(PHOTOS // A_WORD)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {SIDE}x{SIDE} JPEG, server in a process of its own")
    with tempfile.TemporaryDirectory() as folder:
        for count in range(PHOTOS // 4, PHOTOS + 1, PHOTOS // 4):
            began, busy = time.perf_counter(), time.process_time()
            report = collecting.collect(source, "dish", words, count, folder, smallest=SIDE, progress=False)
            rate, cost = report.fetched / (time.perf_counter() - began), (time.process_time() - busy) / report.fetched
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{report.kept:5d} photos, {rate:5.0f} a second, {cost * 1000:.1f} ms of CPU each,", end=" ")
            print(f"memory at most {memory:.0f} MB")
    here.send("done")


if __name__ == "__main__":
    main()
