"""Collecting against both services' fake: faults, curation, credits, resuming, `kill -9`, manifests, safety."""

import csv
import email.utils
import gzip
import hashlib
import io
import itertools
import os
import time
from pathlib import Path
from unittest import mock

import fake_services as fake
import pytest
from fake_services import ids
from PIL import Image, ImageDraw

from helpers import collecting
from helpers.collecting import client, services
from helpers.collecting.catalogue import COLUMNS

CARD = Image.new("RGB", (500, 374), "#eeeeee")
ImageDraw.Draw(CARD).text((150, 170), "This photo is no longer available", fill="gray")


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


def test_photos_that_were_withdrawn_are_no_trouble_of_the_network(server, tmp_path):
    gone = fake.redirect("/pw/images/photo_unavailable.jpg")
    server.pictures["photo"] = fake.jpeg(60)
    server.faults.update({photo_id: fake.always(gone) for photo_id in ids(7)})
    report = collect(server, tmp_path, 8)
    assert report.kept == 8 and set(report.left_out) == set(ids(7))


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
