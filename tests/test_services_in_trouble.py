"""Services that fail for good, licences, sizes, and keys that show nowhere."""

import gzip
import logging
import traceback

import fake_services as fake
import pytest
from test_services import CC, LICENCES, SEARCH, found

from helpers import collecting, paths
from helpers.collecting import flickr, services
from helpers.collecting.openverse import Openverse

PHOTOS = 3  # of the fake services; `key`: of every test here
pytestmark = pytest.mark.usefixtures("key")
LATER = "What is collected stays; run the same again later"
SILENCE = fake.hang(0.3)
BOMB = fake.json_answer(gzip.compress(b'{"photos": "' + bytes(100 << 20), 1), Content_Encoding="gzip")
BAD_KEY = fake.fails(100, f"Invalid API Key ({fake.KEY} is unknown)")
ODD = {
    "openverse": [[], {"page_count": 3}, *({"page_count": 3, "results": odd} for odd in (None, {}, ["x"]))],
    LICENCES: [{"stat": "ok", "licenses": {}}],
    SEARCH: [
        *([], {"stat": "ok"}, {"stat": "ok", "photos": {}}, {"stat": "ok", "photos": {"photo": []}}),
        *({"stat": "ok", "photos": {"photo": odd, "pages": 1}} for odd in ({}, ["x"])),
    ],
}


@pytest.mark.parametrize(
    ("question", "fault", "message", "tries"),
    [
        ("openverse", fake.status(401), "Openverse: HTTP 401", 1),
        ("openverse", fake.status(429, Retry_After="4000"), f"asks to wait 4000 s. {LATER}", 1),
        ("openverse", fake.status(503), "Openverse: HTTP 503", 6),
        ("openverse", fake.answer(b"<html>log in</html>", "text/html"), "no JSON", 1),
        ("openverse", fake.json_answer(b'{"page_count": 1e999, "results": []}'), "another than expected", 1),
        ("openverse", fake.json_answer(b"[" * 200_000), "another than expected", 1),
        ("openverse", BOMB, "too large: more than 4 MB", 1),
        (SEARCH, BOMB, "too large: more than 4 MB", 1),
        *((SEARCH, fake.fails(code, "not available"), "not available", 6) for code in (0, 106, 201, "105")),
        (SEARCH, fake.status(401), r"check the key and the secret\. Check FLICKR_API_KEY", 1),
        ("openverse", SILENCE, "look at the network, then run the same again. Without photos", 6),
        (SEARCH, BAD_KEY, r"Invalid API Key \(\*\*\* is unknown\). Check FLICKR_API_KEY", 1),
        (SEARCH, fake.fails(105, "Service currently unavailable"), "Service currently unavailable", 6),
        (SEARCH, fake.fails(3, "Parameterless searches have been disabled"), "Parameterless", 1),
        (SEARCH, fake.answer(b"<html>please log in</html>", "application/json"), "no JSON", 1),
        (SEARCH, fake.answer(b"{}", "application/json", 203), "Flickr: .*203", 1),
        *((question, fake.json_answer(odd), "another than expected", 1) for question in ODD for odd in ODD[question]),
    ],
)
def test_lasting_trouble_is_told_in_one_line_without_the_key(server, question, fault, message, tries):
    server.faults[question] = fake.always(fault)
    with pytest.raises(services.ServiceError, match=message) as caught:
        found(server, question, timeout=(1, 0.2 if fault is SILENCE else 30))
    assert server.requests[question] == tries
    assert "\n" not in str(caught.value)


def test_a_proxy_that_is_not_there_counts_as_no_network(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(services.ServiceError, match="cannot be reached: connect to the network"):
        next(Openverse(backoff=60).search("x"))


@pytest.mark.parametrize(
    ("url", "code", "name"),
    [
        (f"{CC}/licenses/by/2.0/", ("by", "2.0"), "CC BY 2.0"),
        (f"{CC}/licenses/by-nc-sa/4.0/deed.ja", ("by-nc-sa", "4.0"), "CC BY-NC-SA 4.0"),
        (f"{CC}/publicdomain/zero/1.0/", ("cc0", "1.0"), "CC0 1.0"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", ("pdm", "1.0"), "Public Domain Mark 1.0"),
        ("https://www.flickr.com/commons/usage/", (None, None), "CC"),
        (None, (None, None), "CC"),
    ],
)
def test_licences(url, code, name):
    assert services.licence_code(url) == code
    assert services.licence_name(*code) == name


def test_the_smallest_size_that_is_large_enough():
    photo = services.Photo("1", "", "", "", "", "", "", ((1024, 683, "l"), (500, 333, "m"), (640, 427, "z")))
    assert [photo.url(side) for side in (300, 333, 334, 683)] == ["m", "m", "z", "l"]
    with pytest.raises(services.LeftOut, match="1024x683 is the largest"):
        photo.url(700)


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
        pytest.param(None, id="fine"),
        pytest.param(fake.status(500, WWW_Authenticate=fake.KEY), id="500"),
        pytest.param(fake.status(403), id="403"),
        pytest.param(fake.hang(0.4), id="hang"),
        pytest.param(fake.cut(fake.KEY.encode(), 20), id="reset"),
        pytest.param(fake.answer(f"no json but {fake.KEY} {fake.SECRET}".encode(), "text/plain"), id="no json"),
        pytest.param(fake.redirect("http://127.0.0.1:1/"), id="redirect"),
        pytest.param(fake.fails(99, fake.SECRET + fake.KEY), id="echo"),
    ],
)
def test_the_key_shows_nowhere(server, fault, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    server.faults[SEARCH] = fake.always(fault)
    asking = server.flickr(timeout=(1, 0.1))
    seen = [repr(asking), repr(vars(asking)), repr(asking.client.session.headers)]
    try:
        collecting.collect(asking, "pizza", "ピザ", 2, tmp_path, progress=True)
    except services.ServiceError as error:
        seen.append("".join(traceback.format_exception(error)))
        while error:
            seen += [repr(error), repr(vars(error)), repr(getattr(getattr(error, "request", None), "headers", ""))]
            error = error.__context__
    assert server.requests[SEARCH] > 0
    seen += [caplog.text, *(str(vars(record)) for record in caplog.records), *capsys.readouterr()]
    seen += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    shown = "".join(seen)
    assert "urllib3" in shown, "the log was read"
    assert fake.KEY not in shown and fake.SECRET not in shown
