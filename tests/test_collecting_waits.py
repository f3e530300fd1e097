"""Collecting photos: time limits, Ctrl-C, waits, memory, near-duplicates."""

import contextlib
import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fake_services as fake
import numpy as np
import pytest
from fake_services import ids
from PIL import Image
from test_collecting import collect, collected

from helpers.collecting import client, services


@pytest.mark.parametrize(
    "drip",
    [
        fake.pour(0.02, b"x"),
        fake.pour(0.02, b"1\r\nx\r\n", Transfer_Encoding="chunked"),
        fake.pour(0.02, b"x", Content_Length=99_000),
    ],
)
def test_the_time_limit_holds_for_what_drips(server, tmp_path, monkeypatch, drip):
    monkeypatch.setattr(client, "LONGEST_DOWNLOAD", 0.3)
    monkeypatch.setattr(client, "TRIES", 1)
    server.faults = {"1002": fake.always(drip), "openverse": itertools.chain([None], fake.always(drip))}
    began = time.monotonic()
    assert collect(server, tmp_path, 5).left_out == {"1002": "no whole answer (Timeout)"}
    with pytest.raises(services.ServiceError, match="Openverse: Timeout"):
        server.openverse().page("x", 1)
    assert time.monotonic() - began < 3


CHUNK = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
DRIPS = {
    "first line": fake.drip(b"HTTP/1.1 200 ", b"O"),
    "headers": fake.drip(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n", 0.05),
    "continue": fake.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailers": fake.drip(CHUNK, b"X-More: x\r\n"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_the_time_limit_holds_for_what_drips_around_the_picture(server, tmp_path, monkeypatch, drip):
    monkeypatch.setattr(client, "LONGEST_DOWNLOAD", 0.3)
    monkeypatch.setattr(client, "TRIES", 1)
    server.faults = {"1002": fake.always(DRIPS[drip]), "openverse": itertools.chain([None], fake.always(DRIPS[drip]))}
    began = time.monotonic()
    assert list(collect(server, tmp_path, 5).left_out) == ["1002"]
    with pytest.raises(services.ServiceError, match="Openverse: "):
        server.openverse().page("x", 1)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("fault", [fake.hang(20), fake.pour(0.05, b"x"), fake.status(429), fake.status(500)])
def test_ctrl_c_ends_it_at_once_whatever_the_server_does(server, tmp_path, fault):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background is told to ignore it
    server.faults = {photo_id: fake.always(fault) for photo_id in ids(9, 1002)}
    before = set(threading.enumerate())
    timer = threading.Timer(1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        collect(server, tmp_path, 20, backoff=10)
    timer.join()
    assert all(thread.daemon for thread in set(threading.enumerate()) - before), "nor does Python wait for them"
    server.faults, began = {}, time.monotonic()
    report = collect(server, tmp_path, 20)
    assert report.kept == 20 and not report.left_out and collected(tmp_path) == ids(20)
    assert time.monotonic() - began < 5 and not list(tmp_path.rglob("*.collecting"))


@pytest.mark.parametrize("asked", ["Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000, "soon", "-1"])
def test_a_wait_that_cannot_be_read_is_none(server, asked):
    server.faults["1000"] = iter([fake.status(503, Retry_After=asked)])
    began = time.monotonic()
    assert server.openverse().client.download(f"{server.url}/1000.jpg") == fake.jpeg(0)
    assert time.monotonic() - began < 2


def test_a_picture_server_that_refuses_is_waited_out_by_all(server, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FIRST_PAUSE", 20)  # times the backoff: 0.2 s
    served, ends = itertools.count(), []

    def limited(handler):
        if next(served) < 12 or (ends and time.monotonic() > ends[0]):
            return handler._photo(handler.path.strip("/").removesuffix(".jpg"))
        ends[:] = ends or [time.monotonic() + 1]
        fake.status(429)(handler)

    server.faults = {photo_id: fake.always(limited) for photo_id in ids(60)}
    assert collect(server, tmp_path, 30).kept == 30
    assert collected(tmp_path) == ids(30)
    refused = server.requests.total() - server.requests["openverse"] - 30
    assert refused <= 24, "three pauses, and in each no more than all workers once"


def test_the_wait_an_answer_asks_for_holds_all_downloads(server, tmp_path):
    server.delay = 0.02
    server.faults["1003"] = iter([fake.status(429, Retry_After="1")])
    assert collect(server, tmp_path, 30).kept == 30
    refused = next(when for when, what, *_ in server.log if what == "photo 1003") + 0.02
    waits = [when - refused for when, what, *_ in server.log if what.startswith("photo ") and when > refused]
    assert len(waits) >= 20
    assert not [wait for wait in waits if 0.1 < wait < 0.95], "before that come only those that were on the way"


def test_what_waits_when_all_is_stopped_is_not_asked_for(server):
    server.faults["1000"] = fake.always(fake.status(429, Retry_After="60"))
    asking = client.Client(0, 0, allow_private=True)
    began = time.monotonic()
    threading.Timer(0.3, asking.stopped.set).start()
    for photo_id in ids(2):  # the first is told to wait, the second waits too
        with pytest.raises(services.Unreachable):
            asking.download(f"{server.url}/{photo_id}.jpg")
    assert server.requests == {"photo 1000": 1}
    assert time.monotonic() - began < 30


PEAK = """
import sys, pathlib, fake_services
from helpers import collecting
from helpers.collecting.openverse import Openverse

def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) >> 10

before = most()
source = Openverse(url=sys.argv[1], **fake_services.QUICK)
print(collecting.collect(source, "x", "x", 20, pathlib.Path(sys.argv[2])).kept, most() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system tells no peak of memory")
def test_memory_stays_small_whatever_pictures_come(server, tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (29, 28, 4), np.uint8).repeat(100, 0).repeat(100, 1)
    at_most, too_many = Image.fromarray(blocks), Image.fromarray(blocks.repeat(2, 0))
    large = fake.encoded(at_most, "PNG", compress_level=1) + bytes(20 << 20)
    bomb = fake.encoded(too_many, "PNG", compress_level=1)
    server.pictures = {**dict.fromkeys(ids(3), large), **dict.fromkeys(ids(8, 1003), bomb)}
    command = [sys.executable, "-c", PEAK, server.openverse_url, tmp_path / "photos"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    kept, megabytes = map(int, done.stdout.split())
    assert kept == 20 and megabytes < 300


def test_near_duplicates_are_left_out_also_across_classes(server, tmp_path):
    server.pictures["1003"] = fake.encoded(Image.open(io.BytesIO(fake.jpeg(0))).resize((380, 326)))
    assert collect(server, tmp_path, 3, "okonomiyaki", "x").kept == 3
    server.found = lambda word: ids(3, 1003)
    report = collect(server, tmp_path, 2)
    assert report.kept == 2
    assert report.left_out == {"1003": "near-duplicate: of okonomiyaki/1000.jpg"}


def test_several_words_are_searched_in_turn_and_no_photo_comes_twice(server, tmp_path):
    server.found = {"a": ids(8), "b": ids(20, 1004)}.get
    assert collect(server, tmp_path, 22, words=["a", "b"]).kept == 22
    assert server.requests["openverse"] == 2
    assert collected(tmp_path) == ids(22)
    assert "24 photos of 30 wanted" in str(collect(server, tmp_path, 30, words=["a", "b"]))
    asked = server.requests.total()
    assert collect(server, tmp_path, 30, words=["a", "b"]).kept == 24
    assert server.requests.total() == asked, "that there are too few is not asked again"


@pytest.mark.parametrize("fault", [fake.status(400), fake.status(404), fake.json_answer({"detail": "no results"})])
def test_an_odd_answer_does_not_end_a_search_for_good(server, tmp_path, fault):
    server.faults["openverse"] = iter([None, fault])
    with contextlib.suppress(services.ServiceError):
        assert collect(server, tmp_path, 30).kept == 20
    assert collect(server, tmp_path, 30).kept == 30
