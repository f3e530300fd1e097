"""Collecting against both services' fake: faults, curation, credits, resuming, `kill -9`, manifests, safety."""

import contextlib
import csv
import email.utils
import gzip
import hashlib
import importlib
import io
import itertools
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import fake_services as fake
import numpy as np
import pytest
from fake_services import ids
from PIL import Image, ImageDraw

from helpers import collecting, paths
from helpers.collecting import client, collector, contact_sheet, flickr, practice, services
from helpers.collecting.catalogue import COLUMNS, DATABASE, Catalogue

KILLS = int(os.environ.get("COLLECTING_KILLS", 50))
CARD = Image.new("RGB", (500, 374), "#eeeeee")
ImageDraw.Draw(CARD).text((150, 170), "This photo is no longer available", fill="gray")


@pytest.fixture
def server():
    with contextlib.closing(fake.FakeServices(ids(60))) as server:
        yield server


def collect(server, folder, count, label="pizza", words="ピザ", service="openverse", **settings):
    """The report; whether it fails or not, every photo is credited afterwards."""
    try:
        return collecting.collect(getattr(server, service)(**settings), label, words, count, folder)
    finally:
        assert_credited(folder)


def attributions(folder):
    with (folder / "attributions.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def collected(folder):
    """The ids of the credited photos."""
    return [Path(row["file"]).stem for row in attributions(folder)]


def contents(folder):
    """{name: bytes} of all that a reader sees."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".collecting" not in path.name]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def checksums(folder):
    """[(name, checksum)] of the photos."""
    return [(name, hashlib.sha256(data).hexdigest()) for name, data in contents(folder).items() if "/" in name]


def assert_credited(folder):
    """Every file has its line in attributions.csv with its checksum, every line its file."""
    assert sorted((row["file"], row["sha256"]) for row in attributions(folder)) == sorted(checksums(folder))


def framed(grey):
    image = Image.open(io.BytesIO(fake.jpeg(77)))
    image.paste((grey,) * 3, (0, 200, image.width, image.height))
    return image


def test_photos_credits_and_order(server, tmp_path):
    report = collect(server, tmp_path, 25, "okonomiyaki", "お好み焼き")
    assert (report.kept, report.fetched, report.left_out) == (25, 25, {})
    photos = {f"photo {number}": 1 for number in ids(25)}
    assert server.requests == {"openverse": 2, **photos}, "no photo more than wanted is asked for"
    rows = attributions(tmp_path)
    assert [row["file"] for row in rows] == [f"okonomiyaki/{number}.jpg" for number in range(1000, 1025)]
    assert tuple(rows[0]) == COLUMNS
    assert (tmp_path / "okonomiyaki" / "1003.jpg").read_bytes() == fake.jpeg(3)
    creators = [row["creator"] for row in rows]
    assert creators[:6] == ["kosabe", "*tomoth", "matsudon,giraffe", "柏翰 / ポーハン / POHAN", "", "spaced out"]
    assert creators[10] == 'the "🍕" chef' and rows[4]["title"] == ""
    assert rows[2]["licence"] == "CC BY 2.0" and rows[2]["page_url"] == "https://www.flickr.com/photos/x/1002"


@fake.fault
def in_two_seconds(handler):
    fake.status(429, Retry_After=email.utils.formatdate(time.time() + 2, usegmt=True))(handler)


PASSING = {  # (faults one after the other, seconds until all is well at least)
    "429": ([fake.status(429)] * 3, 0),
    "429 and a time": ([fake.status(429, Retry_After="1")], 1.0),
    "429 and a date": ([in_two_seconds()], 1.0),
    "500 three times": ([fake.status(500)] * 3, 0),
    "503 and nonsense": ([fake.status(503, Retry_After="nonsense")], 0),
    "hang": ([fake.hang(1.0)], 0.4),
    "reset mid-body": ([fake.cut(fake.jpeg(2), 5000)], 0),
    "reset at once, 502": ([fake.cut(fake.jpeg(2), 0), fake.status(502)], 0),
    "busy": ([fake.fails(105, "Service currently unavailable")] * 3, 0),  # Flickr's own way to say it
}
QUESTIONS = ["photo 1002", "openverse", "flickr.photos.search"]
CASES = [case for case in itertools.product(QUESTIONS, PASSING) if case[1] != "busy" or case[0] == QUESTIONS[2]]


@mock.patch.dict(os.environ, fake.KEYS)
@pytest.mark.parametrize(("question", "trouble"), CASES)
def test_passing_trouble_loses_nothing(server, tmp_path, question, trouble):
    (faults, least_wait), began = PASSING[trouble], time.monotonic()
    server.faults[question.removeprefix("photo ")] = iter(faults)
    service = "flickr" if question == QUESTIONS[2] else "openverse"
    report = collect(server, tmp_path, 5, service=service, timeout=(1, 0.4))
    assert report.kept == 5 and not report.left_out
    asked = [(when, headers) for when, what, headers, _ in server.log if what == question]
    assert len(asked) == len(faults) + 1 and asked[-1][0] - began >= least_wait
    if service == "flickr":
        signatures = {headers["Authorization"] for _, headers in asked}
        assert len(signatures) == len(asked), "every try is signed anew: Flickr takes no signature twice"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fake.status(404), "gone: HTTP 404"),
        (fake.status(410), "gone: HTTP 410"),
        (fake.status(400), "refused: HTTP 400"),
        (fake.answer(b"not here", "text/plain"), "no picture: the answer is text/plain"),
        (fake.answer(b"<html>please log in</html>"), "no JPEG, PNG or WebP picture"),
        (fake.answer(b""), "no JPEG, PNG or WebP picture"),
        (fake.answer(fake.jpeg(2)[:9000]), "damaged"),
        (fake.answer(fake.jpeg(2), Content_Length=9000), "damaged"),
        (fake.answer(fake.jpeg(2, 300, 240)), "too small: 300x240"),
        (fake.answer(fake.encoded(Image.new("RGB", (1000, 1000)), "PNG"), "image/png"), "bomb"),
        (fake.answer(gzip.compress(bytes(100 << 20), 1), Content_Encoding="gzip"), "too large: more than 1 MB"),
        (fake.pour(0), "too large: more than 1 MB"),
        (fake.answer(fake.encoded(CARD)), "flat"),
        (fake.answer(fake.encoded(CARD.convert("P"), "GIF"), "image/gif"), "no JPEG, PNG or WebP picture"),
        (fake.redirect("/pw/images/photo_unavailable.jpg"), "stand-in"),
        (fake.answer(fake.encoded(framed(128))), "framed"),
        (fake.answer(fake.encoded(framed(255), "WEBP"), "image/webp"), "framed"),
        (fake.redirect("file:///etc/hostname"), "no usable address (InvalidSchema)"),
        (fake.redirect("http://[::1"), "no usable address"),
        (fake.always(fake.redirect("/1002.jpg")), "no usable address (TooManyRedirects)"),
    ],
)
def test_what_is_no_photo_is_left_out_with_its_reason(server, tmp_path, monkeypatch, fault, reason):
    assert client.LARGEST_FILE == 25 << 20
    monkeypatch.setattr(client, "LARGEST_FILE", 1 << 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300_000)  # more than twice as many are a bomb
    server.pictures["photo"] = fake.jpeg(60)  # where the stand-in's address leads
    server.faults["1002"] = iter([fault]) if callable(fault) else fault
    report = collect(server, tmp_path, 5)
    asked = server.requests.total()
    assert report.kept == 5 and set(report.left_out) == {"1002"}
    assert reason in report.left_out["1002"]
    assert collect(server, tmp_path, 5).left_out == report.left_out
    assert server.requests.total() == asked
    left_out = list(csv.reader((tmp_path / "left_out.csv").read_text().splitlines()))
    assert left_out == [["label", "id", "reason"], ["pizza", "1002", report.left_out["1002"]]]
    assert "1 left out" in str(report)


LOGIN_PAGE = fake.answer(b"<html>please log in</html>", "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(LOGIN_PAGE, "login or block page"), *((fake.status(code), f"HTTP {code}") for code in (401, 403, 407))],
)
def test_a_login_page_for_every_photo_is_said_and_refuses_none_for_good(server, tmp_path, fault, reason):
    server.faults.update({photo_id: fake.always(fault) for photo_id in ids(10)})
    with pytest.raises(services.ServiceError, match=f"6 photos in a row did not arrive; the last: .*{reason}"):
        collect(server, tmp_path, 8)
    server.faults.clear()
    report = collect(server, tmp_path, 8)
    assert (report.kept, report.fetched, report.left_out) == (8, 8, {})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(fake.status(500), "HTTP 500", id="500"),
        pytest.param(fake.answer(fake.jpeg(2), Content_Length=10**6), "no whole answer", id="longer than sent"),
        pytest.param(fake.cut(fake.jpeg(2), 100), "no whole answer", id="reset"),
        pytest.param(fake.pour(0.05), "no whole answer", id="dripping"),
    ],
)
def test_a_photo_that_never_arrives_is_tried_again_next_time(server, tmp_path, monkeypatch, fault, reason):
    monkeypatch.setattr(client, "LONGEST_DOWNLOAD", 0.3)
    server.faults["1002"] = fake.always(fault)
    report = collect(server, tmp_path, 5, timeout=(1, 0.2))
    assert report.kept == 5 and list(report.left_out) == ["1002"] and reason in report.left_out["1002"]
    assert server.requests["photo 1002"] == client.TRIES
    server.faults.clear()
    report = collect(server, tmp_path, 6)
    assert report.kept == 6 and report.fetched == 1 and not report.left_out
    assert collected(tmp_path) == ids(6), "in the order of the search"


def varied(body, kind="image/jpeg", code=200):
    """An answer that is another each time."""
    numbers = itertools.count()
    return lambda handler: handler.send(body + str(next(numbers)).encode(), kind, code)


CODES, NUMBERS = itertools.cycle((404, 410, 400)), itertools.count()


def reencoded():
    return fake.encoded(Image.open(io.BytesIO(fake.jpeg(99))), quality=50 + next(NUMBERS) % 40)


def numbered_card():
    card = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(card).rectangle((0, 0, 600, 60), fill="red")
    ImageDraw.Draw(card).text((100, 200), f"blocked, incident {next(NUMBERS)}", fill="black")
    return fake.encoded(card)


BAD_NETWORKS = {
    "404": fake.status(404),
    "400": fake.status(400),
    "451": fake.status(451),
    "several": lambda handler: fake.status(next(CODES))(handler),
    "octets": fake.answer(b"x", "application/octet-stream"),
    "no picture": varied(b"blocked "),
    "cut short": varied(fake.jpeg(5)[:5000]),
    "one picture": fake.answer(fake.jpeg(99)),
    "one card": fake.answer(fake.encoded(CARD)),
    "one picture, other bytes": varied(fake.jpeg(99)),
    "one picture, other quality": lambda handler: handler.send(reencoded(), "image/jpeg"),
    "cards with a number": lambda handler: handler.send(numbered_card(), "image/jpeg"),
    "one pixel": fake.answer(fake.encoded(Image.new("RGB", (1, 1)))),
}


@pytest.mark.parametrize(
    ("network", "kept_before"),
    [*itertools.product(BAD_NETWORKS, [0]), *itertools.product(("404", "one picture", "cards with a number"), [3])],
)
def test_on_a_bad_network_nothing_is_refused_for_good(server, tmp_path, network, kept_before):
    if kept_before:
        collect(server, tmp_path, kept_before)
    server.faults = {photo_id: fake.always(BAD_NETWORKS[network]) for photo_id in ids(60)}
    for _ in range(2):
        with pytest.raises(services.ServiceError, match=r"6 photos in a row .*\. Mend the network"):
            collect(server, tmp_path, 12)
    assert server.requests["openverse"] <= 3 and collected(tmp_path) == ids(kept_before)
    server.faults = {}
    report = collect(server, tmp_path, 12)
    assert report.kept == 12 and not report.left_out and collected(tmp_path) == ids(12)


@pytest.mark.parametrize("network", ["404", "one picture", "one picture, other quality"])
def test_a_manifest_on_a_bad_network_refuses_nothing_for_good(server, tmp_path, network):
    first, second, manifest = tmp_path / "first", tmp_path / "second", tmp_path / "manifest.csv"
    collect(server, first, 9)
    collecting.write_manifest(first, manifest)
    server.faults = {photo_id: fake.always(BAD_NETWORKS[network]) for photo_id in ids(9)}
    with pytest.raises(services.ServiceError, match="6 photos in a row"):
        collecting.collect_manifest(manifest, second, server.openverse().client)
    server.faults = {}
    (report,) = collecting.collect_manifest(manifest, second, server.openverse().client)
    assert (report.kept, report.left_out) == (9, {})


@pytest.mark.parametrize(("network", "gone"), [("404", 6), ("404", 30), ("octets", 9), ("one picture", 13)])
def test_a_search_that_begins_with_photos_that_are_gone_goes_on_in_later_runs(server, tmp_path, network, gone):
    """Each run gets six further; what is gone is left out once another picture has come."""
    server.faults = {photo_id: fake.always(BAD_NETWORKS[network]) for photo_id in ids(gone)}
    for run in range(1, gone // 6 + 1):
        with pytest.raises(services.ServiceError, match=r"6 photos in a row .* a next run looks further"):
            collect(server, tmp_path, 9)
        assert not collected(tmp_path) and server.requests[f"photo {1000 + 6 * run - 1}"]
    report = collect(server, tmp_path, 9)
    alike = network == "one picture"
    assert collected(tmp_path) == [*ids(alike), *ids(9 - alike, 1000 + gone)]
    assert set(report.left_out) == set(ids(gone)[alike:])
    asked = server.requests.total()
    assert collect(server, tmp_path, 9).fetched == 0 and server.requests.total() == asked


def test_photos_gone_in_a_row_are_left_out_where_others_still_come(server, tmp_path):
    server.faults = {photo_id: fake.always(fake.status(404)) for photo_id in ids(8, 1004)}
    report = collect(server, tmp_path, 20)
    assert report.kept == 20 and set(report.left_out) == set(ids(8, 1004))
    assert server.requests["photo 1003"] == 2, "the last one kept was asked for again"
    asked = server.requests.total()
    assert collect(server, tmp_path, 20).left_out == report.left_out and server.requests.total() == asked


def test_a_kept_photo_that_is_gone_meanwhile_does_not_hold_the_search_up(server, tmp_path):
    assert collect(server, tmp_path, 4).kept == 4
    server.faults = {photo_id: fake.always(fake.status(404)) for photo_id in ids(8, 1003)}
    report = collect(server, tmp_path, 20)
    assert report.kept == 20 and set(report.left_out) == set(ids(7, 1004))


def test_a_page_without_photos_is_asked_for_again(server, tmp_path):
    empty = fake.json_answer({"result_count": 0, "page_count": 0, "page": 2, "results": []})
    server.faults["openverse"] = iter([None, empty])
    assert collect(server, tmp_path, 60).kept == 40
    assert collect(server, tmp_path, 60).kept == 60


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


def test_a_second_run_fetches_only_what_is_missing_or_changed(server, tmp_path):
    collect(server, tmp_path, 20)
    before = contents(tmp_path)
    (tmp_path / "pizza" / "1004.jpg").unlink()
    (tmp_path / "pizza" / "1007.jpg").write_bytes(b"scribbled over")
    server.requests.clear()
    report = collect(server, tmp_path, 20)
    assert server.requests == {"photo 1004": 1, "photo 1007": 1}
    assert report.fetched == 2 and contents(tmp_path) == before
    server.requests.clear()
    collect(server, tmp_path, 25)
    assert server.requests == {"openverse": 1, **{f"photo {number}": 1 for number in ids(5, 1020)}}


def test_a_photo_changed_by_hand_stays_credited_until_it_is_replaced_or_excluded(server, tmp_path):
    mine, server.photos = tmp_path / "pizza" / "1001.jpg", ids(3)
    collect(server, tmp_path, 3)
    before = contents(tmp_path)
    rotated = fake.encoded(Image.open(mine).rotate(90, expand=True))
    mine.write_bytes(rotated)
    collecting.write_manifest(tmp_path, tmp_path.parent / "manifest.csv")
    with (tmp_path / "attributions.csv").open("a") as table:
        table.write("pizza/1001.jpg,,cut sh")  # killed between the new credit and its photo
    server.faults["1001"] = iter([fake.status(404)])
    report = collecting.collect(server.openverse(), "pizza", "ピザ", 3, tmp_path)
    assert report.left_out == {"1001": "gone: HTTP 404"} and mine.read_bytes() == rotated
    credits = sorted((row["file"], row["creator"]) for row in attributions(tmp_path))
    creators = ("kosabe", "*tomoth", "matsudon,giraffe")
    assert credits == [(f"pizza/{number}.jpg", creator) for number, creator in enumerate(creators, 1000)]
    assert contents(tmp_path).keys() == before.keys()
    (tmp_path / "exclude.txt").write_text("pizza/1001")
    with Catalogue(tmp_path):
        assert not mine.exists()
    assert_credited(tmp_path)


def test_a_photo_that_cannot_be_read_for_a_moment_is_neither_deleted_nor_forgotten(server, tmp_path, monkeypatch):
    collect(server, tmp_path, 3)
    before = contents(tmp_path)

    def locked(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch, pytest.raises(PermissionError, match=r"1000\.jpg"):
        patch.setattr(Path, "read_bytes", locked)
        Catalogue(tmp_path)
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.kept("pizza") == 3
    assert contents(tmp_path) == before


def test_excluded_photos_go_and_others_take_their_place(server, tmp_path):
    collect(server, tmp_path, 5)
    names = "\ufeffdata/photos/pizza/1001.jpg\n\n1003   # a person\nokonomiyaki/1000\n.\n/\n"
    (tmp_path / "exclude.txt").write_text(names, "utf-8")
    report = collect(server, tmp_path, 5)
    assert collected(tmp_path) == ["1000", "1002", "1004", "1005", "1006"]
    assert report.left_out == {"1001": "named in exclude.txt", "1003": "named in exclude.txt"}
    (tmp_path / "exclude.txt").unlink()
    assert collect(server, tmp_path, 7).kept == 7
    assert collected(tmp_path) == ids(7)


MINE = "file,title,creator\nramen/mine.jpg,昼,柏翰é\n"


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(f"{MINE}ramen/no.jpg,,\n".encode(), id="also of what is not there"),
        pytest.param(MINE.encode("utf-8-sig"), id="saved by a spreadsheet, with a byte order mark"),
        pytest.param(f"{MINE}ramen/no.jpg,昼".encode()[:-1], id="cut short within a letter"),
    ],
)
def test_credits_of_classes_collected_elsewhere_stay(server, tmp_path, saved):
    (tmp_path / "ramen").mkdir()
    (tmp_path / "ramen" / "mine.jpg").write_bytes(fake.jpeg(9))
    (tmp_path / "attributions.csv").write_bytes(saved)
    collecting.collect(server.openverse(), "pizza", "ピザ", 2, tmp_path)
    assert [(row["file"], row["title"], row["creator"]) for row in attributions(tmp_path)] == [
        ("pizza/1000.jpg", "お好み焼き 0", "kosabe"),
        ("pizza/1001.jpg", "お好み焼き 1", "*tomoth"),
        ("ramen/mine.jpg", "昼", "柏翰é"),
    ]


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(MINE.replace(",", ";").encode(), id="semicolons"),
        pytest.param(MINE.replace("昼", "x").replace("柏翰", "").encode("cp1252"), id="cp1252"),
        pytest.param(MINE.encode("utf-16"), id="UTF-16"),
        pytest.param(MINE.replace("昼", "x" * 200_000).encode(), id="csv.Error"),
    ],
)
def test_credits_that_cannot_be_read_are_not_overwritten(tmp_path, saved):
    credits = tmp_path / "attributions.csv"
    credits.write_bytes(saved)
    with pytest.raises(ValueError, match=r"attributions\.csv: no table in UTF-8 with commas .* save it as one"):
        Catalogue(tmp_path)
    assert credits.read_bytes() == saved


def test_photos_keep_their_credits_when_the_database_is_lost(server, tmp_path):
    collect(server, tmp_path, 12)
    before = contents(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"scribbled over " * 1000)
    with pytest.raises(RuntimeError, match=f"delete {DATABASE} there and collect again"):
        collect(server, tmp_path, 12)
    (tmp_path / DATABASE).unlink()
    assert collect(server, tmp_path, 5).kept == 5
    assert len(attributions(tmp_path)) == 12
    collect(server, tmp_path, 12)
    assert contents(tmp_path) == before


def test_a_database_that_cannot_be_opened_is_not_to_be_deleted(tmp_path):
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(RuntimeError, match="free space on the disk or make the folder writable") as caught:
        Catalogue(tmp_path)
    assert "delete" not in str(caught.value)


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    photos = [services.Photo(number, "x" * 500, "", "", "", "", "", ()) for number in ids(500)]
    with Catalogue(tmp_path) as catalogue:
        catalogue._database.execute("PRAGMA max_page_count=20")
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            catalogue.page("pizza", "x", 1, lambda: (photos, False))
    with Catalogue(tmp_path) as catalogue:
        asked = []
        assert catalogue.page("pizza", "x", 1, lambda: asked.append(1) or (photos, False)) == (photos, False)
        assert asked, "the page was not stored"


def test_no_network_ends_in_one_line_and_keeps_what_is_there(server, tmp_path):
    server.delay = 0.01
    collect(server, tmp_path, 10)
    server.close()
    with pytest.raises(services.ServiceError, match="6 photos in a row"):
        collect(server, tmp_path, 12)
    assert len(attributions(tmp_path)) == 10
    with pytest.raises(services.ServiceError, match="cannot be reached: connect to the network") as caught:
        collect(server, tmp_path, 10, "okonomiyaki", "x")
    assert "\n" not in str(caught.value)


def test_when_the_day_is_used_up_what_is_on_the_way_still_counts(server, tmp_path):
    server.delay = 0.05
    used_up = fake.status(429, X_RateLimit_Available_anon_sustained="0")
    server.faults["openverse"] = itertools.chain([None], fake.always(used_up))
    with pytest.raises(services.ServiceError, match=r"^Openverse: today's number of questions is used up\. .*\Z"):
        collect(server, tmp_path, 30)
    assert server.requests == {"openverse": 2, **{f"photo {number}": 1 for number in ids(20)}}
    assert len(attributions(tmp_path)) == 20


@pytest.mark.parametrize("photo_id", ["../../evil", "a/b", "", "nul\0", "x" * 65, ".hidden"])
def test_odd_ids_never_become_file_names(tmp_path, photo_id):
    photo = services.Photo(photo_id, "", "", "", "", "", "", ((None, None, "http://127.0.0.1:9/"),))
    with pytest.raises(services.LeftOut, match="file name"):
        collector._fetch(None, tmp_path, "pizza", 1, photo)


RESERVED = ["CON", "nul", "com1", "LPT9.txt", "aux .x", "pizza.", "pizza "]


@pytest.mark.parametrize("label", ["../evil", "", ".hidden", "a/b", "a\nb", *RESERVED])
def test_labels_are_folder_names(tmp_path, label):
    with pytest.raises(ValueError, match="Windows knows no folder" if label in RESERVED else "folder name"):
        collecting.collect(None, label, "x", 1, tmp_path)
    assert not list(tmp_path.iterdir())


def test_private_addresses_are_refused_on_every_hop(server, monkeypatch):
    careful = client.Client(0, 0, backoff=0.01)
    for host in ("127.0.0.1", "localhost"):  # the address counts, whatever name leads there
        with pytest.raises(services.LeftOut, match="private address"):
            careful.download(server.url.replace("127.0.0.1", host) + "/1000.jpg")
    with pytest.raises(services.ServiceError, match="private address"):
        next(server.openverse(allow_private=False).search("x"))
    assert not server.requests
    monkeypatch.setattr(client, "is_public", lambda address: address == "127.0.0.1")
    assert careful.download(f"{server.url}/1000.jpg") == fake.jpeg(0)
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.2", 0))
        except OSError:
            pytest.skip("this system has no second loopback address")
        other.listen()
        server.faults["1001"] = iter([fake.redirect(f"http://127.0.0.2:{other.getsockname()[1]}/1001.jpg")])
        with pytest.raises(services.LeftOut, match="private address"):
            careful.download(f"{server.url}/1001.jpg")


@pytest.mark.parametrize("content", ["label,id\n".encode("utf-16"), b"label,id\n" + 200_000 * b"x"])
def test_a_manifest_that_cannot_be_read_says_so_in_one_line(server, tmp_path, content):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"manifest.csv: no table in UTF-8 with commas \(.*\); save it as one"
    ) as refused:
        collecting.collect_manifest(tmp_path / "manifest.csv", tmp_path / "photos", server.openverse().client)
    assert "\n" not in str(refused.value)


def test_public_addresses():
    public = ["8.8.8.8", "::ffff:8.8.8.8", "2001:4860:4860::8888"]
    private = ["10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "::1", "::ffff:127.0.0.1", "fe80::1"]
    assert [address for address in public + private if client.is_public(address)] == public


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    with Catalogue(tmp_path), pytest.raises(RuntimeError, match="another run is collecting"):
        Catalogue(tmp_path)


@pytest.mark.parametrize("name", ["exclude.txt", "attributions.csv"])
def test_a_failure_leaves_the_folder_open_to_the_next_try(tmp_path, name):
    with pytest.raises(ValueError, match="UTF-8") as while_opening:  # a notebook keeps its last error, and its frames
        (tmp_path / name).write_bytes(b"file\xff")
        Catalogue(tmp_path)
    assert name in str(while_opening.value)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match="UTF-8") as while_closing, Catalogue(tmp_path):
        (tmp_path / "attributions.csv").write_bytes(b"file\xff")
    (tmp_path / "attributions.csv").unlink()
    with Catalogue(tmp_path):
        assert while_opening and while_closing


def test_the_pace_is_kept_by_all_threads_together(server, tmp_path):
    began = time.monotonic()
    asking = server.openverse(call_gap=0.3, photo_gap=0.02)
    collecting.collect(asking, "pizza", "ピザ", 45, tmp_path)
    assert time.monotonic() - began >= 44 * 0.02
    list(itertools.islice(asking.search("ピザ"), 21))
    calls = [when for when, what, *_ in server.log if what == "openverse"]
    assert len(calls) == 5 and calls[-1] - calls[0] > 4 * 0.3 - 0.1
    assert all(later - sooner > 0.2 for sooner, later in itertools.pairwise(calls))


def test_manifest_fetches_the_same_set_and_names_what_is_missing_or_changed(server, tmp_path):
    pixels = np.array(Image.open(io.BytesIO(fake.jpeg(0, 1280, 960))))
    pixels[:400] = np.random.default_rng(0).integers(120, 136, (400, 1280, 1))  # a grainy sky, even when decoded at 1/8
    server.pictures["1000"] = fake.encoded(Image.fromarray(pixels))
    first, second, manifest = tmp_path / "first", tmp_path / "second", tmp_path / "manifest.csv"
    asking = server.openverse().client
    server.found = {"okonomiyaki": ids(8), "pizza": ids(8, 1010)}.get
    for label in ("okonomiyaki", "pizza"):
        collect(server, first, 6, label, label)
    collecting.write_manifest(first, manifest)
    reports = collecting.collect_manifest(manifest, second, asking)
    assert [report.kept for report in reports] == [6, 6]
    assert contents(second) == contents(first)
    with Catalogue(first) as ours, Catalogue(second) as theirs:
        pairs = zip(ours.fingerprints().items(), theirs.fingerprints().items(), strict=True)
        assert all(one == other and mine.hash == its.hash for (one, mine), (other, its) in pairs)
    server.faults["1002"] = fake.always(fake.status(404))
    server.pictures["1011"] = fake.jpeg(99)
    reports = collecting.collect_manifest(manifest, tmp_path / "third", asking)
    assert reports[0].left_out == {"1002": "gone: HTTP 404"}
    assert reports[1].left_out == {"1011": "changed: its bytes are not those the manifest names"}
    assert [report.kept for report in reports] == [5, 5]
    assert_credited(tmp_path / "third")
    with pytest.raises(ValueError, match="a folder of its own"):
        collecting.collect_manifest(manifest, first, asking)
    with pytest.raises(ValueError, match="no manifest"):
        collecting.collect_manifest(first / "attributions.csv", second, asking)
    manifest.write_text("id,sha256,url,title,creator,licence,licence_url,page_url,source,label\nabc,00,http://x/\n")
    with pytest.raises(ValueError, match="a photo has no label"):
        collecting.collect_manifest(manifest, second, asking)


def test_no_cell_is_a_formula_and_credits_read_as_they_were(server, tmp_path):
    creators = {0: "=cmd|' /C calc'!A0", 1: "+1", 2: "-x-", 3: "@SUM(1)", 4: "'=x"}
    server.changed = lambda number, result: {**result, "creator": creators.get(number), "title": f"={number}"}
    folder, manifest, again = tmp_path / "a", tmp_path / "manifest.csv", tmp_path / "b"
    collect(server, folder, 5)
    assert [row["creator"] for row in attributions(folder)] == [f"'{name}" for name in creators.values()]
    collecting.write_manifest(folder, manifest)
    cells = itertools.chain(*csv.reader(manifest.read_text(encoding="utf-8").splitlines()))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())  # as a spreadsheet saves it
    assert collecting.collect_manifest(manifest, again, server.openverse().client)[0].kept == 5
    assert contents(again) == contents(folder)
    table = folder / "attributions.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert "CC BY 2.0 by =cmd|&#x27; /C calc&#x27;!A0" in contact_sheet.write(folder).read_text(encoding="utf-8")
    collect(server, folder, 5)
    assert contents(again).items() <= contents(folder).items()


def test_a_photo_whose_credit_was_lost_with_the_power_has_it_again(server, tmp_path):
    collect(server, tmp_path, 12)
    before, table = contents(tmp_path), tmp_path / "attributions.csv"
    (tmp_path / "pizza" / "mine.jpg").write_bytes(b"the reader's own")
    for cut in (0, 700, 1200):  # bytes of the table that were written
        table.write_bytes(before["attributions.csv"][:cut])
        with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
            lost = "fate=NULL, file=NULL, url=NULL, sha256=NULL, hash=NULL, thumbnail=NULL, date=NULL"
            database.execute(f"UPDATE photos SET {lost} WHERE place > 3")
        with Catalogue(tmp_path):
            standing = {(name, hashlib.sha256(data).hexdigest()) for name, data in before.items() if "/" in name}
            assert {(row["file"], row["sha256"]) for row in attributions(tmp_path)} == standing
        assert [row["creator"] for row in attributions(tmp_path)][:3] == ["kosabe", "*tomoth", "matsudon,giraffe"]
    (tmp_path / "exclude.txt").write_text("1010\n")
    (tmp_path / "pizza" / "mine.jpg").unlink()
    assert collect(server, tmp_path, 11).kept == 11
    assert collected(tmp_path) == [*ids(10), "1011"]


def test_what_a_photo_needs_for_its_credit_is_on_the_disk_before_it(server, tmp_path):
    folder, lost = tmp_path / "a", tmp_path / "b"
    with Catalogue(folder) as catalogue:
        found = catalogue.page("pizza", "q", 1, lambda: server.openverse().page("x", 1))[0]
        lost.mkdir()
        (lost / DATABASE).write_bytes((folder / DATABASE).read_bytes())  # without what waits in the log beside it
    (lost / "pizza").mkdir()
    (lost / "pizza" / f"{found[3].id}.jpg").write_bytes(fake.jpeg(3))
    with Catalogue(lost):
        assert [(row["file"], row["creator"]) for row in attributions(lost)] == [("pizza/1003.jpg", found[3].creator)]


def test_killed_at_random_points_nothing_is_lost_and_nothing_comes_twice(server, tmp_path, monkeypatch):
    """SIGKILL over and over; then the folder is, byte for byte, that of an unbroken run."""
    server.photos, server.delay = ids(70), 0.01
    server.pictures = {"1005": fake.jpeg(3), "1011": fake.jpeg(11)[:4000], "1017": fake.jpeg(1, 200, 200)}
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the fork server, which imports once
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["fake_services"])
    dice, kills, cut_short = random.Random(0), 0, 0
    collect(server, tmp_path / "unbroken", 60, "okonomiyaki", ["お好み焼き", "okonomiyaki"])
    for round_number in itertools.count():
        server.requests.clear()
        folder, lives = tmp_path / f"round {round_number}", 0
        while is_killed(fork, server, folder, dice.uniform(0, 0.5) if kills < KILLS else None):
            kills, lives = kills + 1, lives + 1
            cut_short += credits_ahead(folder)
        assert contents(folder) == contents(tmp_path / "unbroken")
        assert server.requests["openverse"] <= 4 + 2 * lives, "the page on its way, and page 1 for their number"
        asked = server.requests.total() - server.requests["openverse"]
        assert asked <= 60 + len(server.pictures) + 24 * lives, "no more than was on the way again"
        if kills >= KILLS:
            break
    print(f"{kills} kills, 0 lost, 0 twice; in {cut_short} a credit stood without its photo until the next start")


def is_killed(fork, server, folder, seconds):
    """Whether a process that collects into `folder` had to be killed after so long; None: it may finish."""
    started, start = fork.Pipe(duplex=False)
    life = fork.Process(target=fake.collect_once, args=(server.openverse_url, folder, 60, start))
    life.start()
    started.recv()
    life.join(seconds)
    life.kill()
    life.join()
    assert life.exitcode in (0, -signal.SIGKILL)
    return life.exitcode != 0


def credits_ahead(folder):
    """Before anything is mended: every photo is whole and credited, at most one credit waits for its photo."""
    rows = attributions(folder) if (folder / "attributions.csv").exists() else []
    credited, files = {(row["file"], row["sha256"]) for row in rows}, set(checksums(folder))
    assert files <= credited and len(credited - files) <= 1
    return len(credited - files)


def test_the_contact_sheet_shows_every_photo_and_runs_no_title(tmp_path):
    (tmp_path / "attributions.csv").write_text(
        "file,title,creator,licence,page_url\n"
        'pizza/1.jpg,"<script>alert(1)</script>",a & b,CC BY 2.0,https://www.flickr.com/photos/x/1\n'
        'pizza/2.jpg,"""onerror=""x",,CC0 1.0,javascript:alert(1)\n',
        encoding="utf-8",
    )
    page = contact_sheet.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("<figure data-file=") == 2 and page.count("<script>") == 1
    assert '<a href="https://www.flickr.com/photos/x/1">CC BY 2.0 by a &amp; b</a>' in page
    assert "javascript:" not in page and "CC0 1.0, creator unknown" in page
    assert 'title="&quot;onerror=&quot;x"' in page


def test_the_practice_kitchen_offers_dishes_and_what_is_to_be_left_out(tmp_path):
    kitchen = practice.kitchen()
    for label, words in collecting.BLOG_WORDS.items():
        report = collecting.collect(kitchen, label, words, 17, tmp_path, smallest=160)
        reasons = {reason.split(":")[0] for reason in report.left_out.values()}
        assert report.kept == 17 and reasons == {"near-duplicate", "flat", "too small"}
    assert not list(kitchen.search("sushi"))
    assert_credited(tmp_path)


@pytest.fixture
def command(monkeypatch):
    monkeypatch.syspath_prepend(paths.ROOT / "scripts")
    return importlib.import_module("collect_photos")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt, "Stopped. What is collected stays; the same command goes on."),  # what Ctrl-C raises
        (sqlite3.OperationalError("database or disk is full"), "database or disk is full"),
        (csv.Error("line 3"), "line 3"),
    ],
)
def test_the_command_stopped_or_failing_says_so_in_one_line(monkeypatch, command, error, message):
    monkeypatch.setattr(command, "search", mock.Mock(side_effect=error))
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == message


def test_the_command_says_in_one_line_what_to_do_without_a_key(monkeypatch, command, tmp_path):
    monkeypatch.setattr(flickr, "has_key", lambda: False)
    with pytest.raises(SystemExit, match=r"^Flickr needs an API key .* or use Openverse.*$"):
        command.main(["--source", "flickr", "--folder", str(tmp_path)])


def test_the_command_fetches_a_manifest(tmp_path):
    def script(manifest):
        command = [sys.executable, paths.ROOT / "scripts" / "collect_photos.py", "--manifest", tmp_path / manifest]
        return subprocess.run([*command, "--folder", tmp_path / "b"], text=True, capture_output=True, check=False)

    done = script("none.csv")
    assert done.returncode == 1 and "none.csv" in done.stderr and done.stderr.count("\n") == 1
    row = "pizza,1,00,http://127.0.0.1:9/1.jpg,,,,,,"
    (tmp_path / "manifest.csv").write_text(f"{','.join(collector.MANIFEST_COLUMNS)}\n{row}\n")
    done = script("manifest.csv")
    assert done.returncode == 0 and "0 photos of 1 wanted" in done.stdout and "  1: " in done.stdout
    assert "contact_sheet.html" in done.stdout
