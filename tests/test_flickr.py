"""Flickr through the real flickrapi: licences, paging, failures, and the key that must show nowhere."""

import json
import logging
import re
import subprocess
import traceback

import fake_services as fake
import pytest

from helpers import collecting, paths
from helpers.collecting import flickr, services

KEY_SHAPE = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")

OWN_KEYS = [key for key in flickr._keys() if key]  # of whoever runs the tests


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("FLICKR_API_KEY", fake.KEY)
    monkeypatch.setenv("FLICKR_API_SECRET", fake.SECRET)


@pytest.fixture
def server():
    server = fake.FakeServices(ids(3))
    yield server
    server.close()


def ids(count):
    return [str(53_000_000_000 + number) for number in range(count)]


def found(server, **settings):
    return [photo.id for photo in server.flickr(**settings).search("x")]


def fails(code, message):
    return fake.json_answer({"stat": "fail", "code": code, "message": message})


def test_a_photo_has_all_a_credit_needs(server):
    photo = next(server.flickr().search("ピザ"))
    licences, (_, _, headers, asked) = server.log
    assert photo.credit == "CC BY 2.0 by kosabe" and photo.title == "ピザ 0"
    assert photo.page_url == f"https://www.flickr.com/photos/1234@N00/{ids(1)[0]}"
    assert photo.licence_url == "https://creativecommons.org/licenses/by/2.0/"
    assert photo.attribution == f'"ピザ 0" by kosabe ({photo.page_url}), CC BY 2.0 ({photo.licence_url})'
    assert photo.url(320) == f"{server.url}/{ids(1)[0]}_z.jpg", "the smallest that is large enough"
    assert asked["text"] == "ピザ" and asked["media"] == "photos" and asked["sort"] == "relevance"
    assert asked["license"] == "4,5,9,10,11", "ids from licenses.getInfo"
    assert licences[1] == "flickr.photos.licenses.getInfo"
    assert headers["User-Agent"].startswith("where-a-network-looks/")


def test_licences_are_asked_for_once_and_filtered(server):
    server.photos = ids(600)
    assert found(server, licences=["by"]) == ids(600)
    assert server.requests == {"flickr.photos.licenses.getInfo": 1, "flickr.photos.search": 3}
    assert {params["license"] for *_, params in server.log[1:]} == {"4,11"}


def test_paging_ends_where_flickr_begins_to_repeat(server):
    server.photos = ids(5000)
    server.flickr_pages = lambda found, page, size: found[((page - 1) * size) % 4000 :][:size]
    assert found(server) == ids(4000)
    assert server.requests["flickr.photos.search"] == 16


def test_a_page_that_promises_more_than_there_is_and_duplicates_across_pages(server):
    server.photos = ids(2000)
    server.flickr_pages = lambda found, page, size: found[(page - 1) * 200 :][:size] if page <= 3 else []
    assert found(server) == ids(650)
    assert server.requests["flickr.photos.search"] == 4


@pytest.mark.parametrize(
    ("faults", "least_wait"),
    [
        pytest.param([fake.status(429)], 0, id="429"),
        pytest.param([fake.status(429, Retry_After="1")], 1.0, id="429 and a time"),
        pytest.param([fake.status(500)] * 2, 0, id="500"),
        pytest.param([fake.hang(0.6)], 0, id="hang"),
        pytest.param([fake.cut(b"{" * 99, 9)], 0, id="reset"),
        pytest.param([fails(105, "Service currently unavailable")] * 3, 0, id="code 105"),
    ],
)
def test_passing_trouble(server, faults, least_wait):
    server.faults["flickr.photos.search"] = iter(faults)
    assert len(found(server, timeout=(1, 0.3))) == 3
    asked = [(when, headers) for when, what, headers, _ in server.log if what == "flickr.photos.search"]
    assert len(asked) == len(faults) + 1
    assert asked[1][0] - asked[0][0] >= least_wait
    signatures = {headers["Authorization"] for _, headers in asked}
    assert len(signatures) == len(asked), "every try is signed anew: Flickr takes no signature twice"


ODD = ({}, {"photo": []}, {"photo": {}, "pages": 1}, {"photo": ["x"], "pages": 1})


@pytest.mark.parametrize(
    ("fault", "message", "tries"),
    [
        (fails(100, f"Invalid API Key ({fake.KEY} is unknown)"), r"Key \(\*\*\* is unknown\). Check FLICKR_API_KEY", 1),
        (fails(105, "Service currently unavailable"), "Service currently unavailable", 6),
        (fails(3, "Parameterless searches have been disabled"), "Parameterless", 1),
        (fake.answer(b"<html>please log in</html>", "application/json"), "no JSON", 1),
        *((fake.json_answer(odd), "another than expected", 1) for odd in ([], {"stat": "ok"})),
        *((fake.json_answer({"stat": "ok", "photos": odd}), "another than expected", 1) for odd in ODD),
    ],
)
def test_failures_are_told_in_one_line_without_the_key(server, fault, message, tries):
    server.faults["flickr.photos.search"] = fake.always(fault)
    with pytest.raises(services.ServiceError, match=message) as caught:
        found(server)
    assert server.requests["flickr.photos.search"] == tries
    assert "\n" not in str(caught.value)


def test_odd_licences_are_told_too(server):
    server.faults["flickr.photos.licenses.getInfo"] = iter([fake.json_answer({"stat": "ok", "licenses": {}})])
    with pytest.raises(services.ServiceError, match="another than expected"):
        found(server)


def test_without_a_key_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.delenv("FLICKR_API_SECRET")
    assert not flickr.has_key()
    with pytest.raises(services.ServiceError, match=r"FLICKR_API_KEY and FLICKR_API_SECRET .* or use Openverse"):
        flickr.Flickr()
    (tmp_path / ".env").write_text("FLICKR_API_SECRET=fromthefile\n")
    assert flickr.has_key() and flickr._keys() == [fake.KEY, "fromthefile"]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        fake.status(500, WWW_Authenticate=fake.KEY),
        fake.status(403),
        fake.hang(0.4),
        fake.cut(fake.KEY.encode(), 20),
        fake.answer(f"no json but {fake.KEY} {fake.SECRET}".encode(), "text/plain"),
        fake.redirect("http://127.0.0.1:1/"),
        fails(99, fake.SECRET + fake.KEY),
    ],
    ids=["fine", "500", "403", "hang", "reset", "no json", "redirect", "echo"],
)
def test_the_key_shows_nowhere(server, fault, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    server.faults["flickr.photos.search"] = fake.always(fault)
    asking = server.flickr(timeout=(1, 0.1))
    seen = [repr(asking), repr(vars(asking)), repr(asking.client.session.headers)]
    try:
        collecting.collect(asking, "pizza", "ピザ", 2, tmp_path, progress=True)
    except services.ServiceError as error:
        seen.append("".join(traceback.format_exception(error)))
        while error:
            seen += [repr(error), repr(vars(error)), repr(getattr(getattr(error, "request", None), "headers", ""))]
            error = error.__context__
    assert server.requests["flickr.photos.search"] > 0
    seen += [caplog.text, *(str(vars(record)) for record in caplog.records), *capsys.readouterr()]
    seen += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    shown = "".join(seen)
    assert "urllib3" in shown, "the log was read"
    assert fake.KEY not in shown and fake.SECRET not in shown


def test_no_key_is_in_the_repository():
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False).stdout.split("\0")
    files = [paths.ROOT / name for name in listed if name and "fake_services" not in name]
    if not files:
        pytest.skip("not a git checkout")
    for path in filter(lambda path: path.is_file(), files):
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(key in text for key in OWN_KEYS), path
        assert not re.search(r"(api_key|API_KEY|API_SECRET)[\"']?\s*[=:]\s*[\"']?[0-9a-f]{16}", text), path
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            shown = json.dumps([[cell["source"], _without_widget_ids(cell.get("outputs", []))] for cell in cells])
            assert not KEY_SHAPE.search(shown), path


def _without_widget_ids(outputs):
    """What a reader sees of a cell's outputs: a widget's view is a number of the kernel's, shaped like a key."""
    return [
        {**output, "data": {kind: shown for kind, shown in output.get("data", {}).items() if "widget" not in kind}}
        for output in outputs
    ]


def test_env_file_is_ignored_by_git():
    assert ".env" in (paths.ROOT / ".gitignore").read_text().split()
