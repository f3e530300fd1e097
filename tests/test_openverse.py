"""Openverse: questions, paging to its depth, odd answers, refusals."""

import fake_services as fake
import pytest

from helpers.collecting import services
from helpers.collecting.openverse import Openverse


@pytest.fixture
def server():
    server = fake.FakeServices(ids(3))
    yield server
    server.close()


def ids(count):
    return [f"4bc4{number:04d}-aaaa-bbbb-cccc-{number:012d}" for number in range(count)]


def found(server, words="x", **settings):
    return [photo.id for photo in server.openverse(**settings).search(words)]


def test_a_photo_has_all_a_credit_needs(server):
    photo = next(server.openverse().search("お好み焼き"))
    assert photo == services.Photo(
        id=ids(1)[0],
        title="お好み焼き 0",
        creator="kosabe",
        licence="CC BY 2.0",
        source="flickr via Openverse",
        licence_url="https://creativecommons.org/licenses/by/2.0/",
        attribution="as given",
        page_url=f"https://www.flickr.com/photos/x/{ids(1)[0]}",
        sizes=((420, 360, f"{server.url}/{ids(1)[0]}.jpg"),),
    )
    assert photo.credit == "CC BY 2.0 by kosabe"
    _, _, headers, asked = server.log[0]
    shown = {"category": "photograph", "filter_dead": "true", "mature": "false", "page": "1", "page_size": "20"}
    assert asked == {"q": "お好み焼き", "source": "flickr", "license": "by,by-sa,cc0,pdm", **shown}
    assert headers["User-Agent"].startswith("where-a-network-looks/")


def test_missing_facts_are_left_empty(server):
    server.photos = ids(5)
    photo = list(server.openverse().search("x"))[4]
    assert (photo.title, photo.creator, photo.credit) == ("", "", "CC BY 2.0, creator unknown")
    assert photo.url(10_000) == f"{server.url}/{photo.id}.jpg", "of unknown size: worth a look"


def test_paging_ends_at_the_depth_openverse_allows(server):
    server.photos = ids(1000)
    assert found(server) == ids(400)
    assert server.requests["openverse"] == 20


def test_other_licences_than_asked_for_are_not_taken(server):
    assert not found(server, licences=("cc0",)), "the fake's photos are all CC BY"


def test_no_photo_comes_twice_by_several_words_or_across_pages(server):
    server.photos = ids(60)
    server.found = {"a": ids(30), "b": ids(60)[10:], "c": ids(30)[:20] + ids(30)[5:]}.get
    assert found(server, ["a", "b"]) == ids(60)
    assert found(server, "c") == ids(30)


EMPTY = fake.json_answer({"result_count": 900, "page_count": 20, "page": 2, "results": []})


@pytest.mark.parametrize("fault", [EMPTY, fake.status(404), fake.status(400)], ids=["empty", "404", "400"])
def test_a_page_that_promises_more_than_there_is(server, fault):
    server.photos = ids(100)
    server.faults["openverse"] = iter([None, fault])
    assert found(server) == ids(20)
    assert server.requests["openverse"] == 2


@pytest.mark.parametrize(
    ("faults", "least_wait"),
    [
        pytest.param([fake.status(429)] * 3, 0, id="429"),
        pytest.param([fake.status(429, Retry_After="1")], 1.0, id="429 and a time"),
        pytest.param([fake.status(500), fake.status(502)], 0, id="5xx"),
        pytest.param([fake.hang(0.6)], 0, id="hang"),
        pytest.param([fake.cut(b"{" * 99, 9)], 0, id="reset"),
    ],
)
def test_passing_trouble(server, faults, least_wait):
    server.faults["openverse"] = iter(faults)
    assert len(found(server, timeout=(1, 0.3))) == 3
    assert server.requests["openverse"] == len(faults) + 1
    assert server.log[1][0] - server.log[0][0] >= least_wait


USED_UP = {"X_RateLimit_Available_anon_sustained": "0"}
ODD = ([], {"page_count": 3}, *({"page_count": 3, "results": odd} for odd in (None, {}, ["x"])))


@pytest.mark.parametrize(
    ("fault", "message", "tries"),
    [
        (fake.status(401), "Openverse: HTTP 401", 1),
        (
            fake.status(429, Retry_After="4000"),
            "asks to wait 4000 s. What is collected stays; run the same again later",
            1,
        ),
        (fake.status(429, **USED_UP), "today's number of questions is used up", 1),
        (fake.status(503), "Openverse: HTTP 503", 6),
        (fake.answer(b"<html>log in</html>", "text/html"), "no JSON", 1),
        *((fake.json_answer(odd), "another than expected", 1) for odd in ODD),
        (fake.hang(0.3), "look at the network, then run the same again. Without photos", 6),
    ],
)
def test_lasting_trouble_is_told_in_one_line(server, fault, message, tries):
    server.faults["openverse"] = fake.always(fault)
    with pytest.raises(services.ServiceError, match=message) as caught:
        found(server, timeout=(1, 0.2))
    assert server.requests["openverse"] == tries
    assert "\n" not in str(caught.value)


def test_a_proxy_that_is_not_there_counts_as_no_network(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(services.ServiceError, match="cannot be reached: connect to the network"):
        next(Openverse(backoff=60).search("x"))


def test_loopback_is_refused_unless_allowed(server):
    with pytest.raises(services.ServiceError, match="private address"):
        next(Openverse(url=server.openverse_url).search("x"))


CC = "https://creativecommons.org"


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
