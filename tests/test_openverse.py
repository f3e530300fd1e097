"""Openverse: questions, paging to its depth, odd answers, refusals."""

import fake_services as fake
import pytest

from helpers.collecting import services
from helpers.collecting.openverse import Openverse


def source(server, **settings):
    return Openverse(url=server.openverse_url, call_gap=0, photo_gap=0, backoff=0.01, allow_private=True, **settings)


def ids(count):
    return [f"4bc4{number:04d}-aaaa-bbbb-cccc-{number:012d}" for number in range(count)]


def test_a_photo_has_all_a_credit_needs():
    with fake.FakeServices(ids(3)) as server:
        photo = next(source(server).search("お好み焼き"))
        _, _, headers, asked = server.log[0]
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
    assert asked == {
        "q": "お好み焼き",
        "source": "flickr",
        "license": "by,by-sa,cc0,pdm",
        "category": "photograph",
        "filter_dead": "true",
        "mature": "false",
        "page": "1",
        "page_size": "20",
    }
    assert headers["User-Agent"].startswith("where-a-network-looks/")


def test_missing_facts_are_left_empty():
    with fake.FakeServices(ids(5)) as server:
        photo = list(source(server).search("x"))[4]
    assert (photo.title, photo.creator, photo.credit) == ("", "", "CC BY 2.0, creator unknown")
    assert photo.url(10_000) == f"{server.url}/{photo.id}.jpg", "of unknown size: worth a look"


def test_paging_ends_at_the_depth_openverse_allows():
    with fake.FakeServices(ids(1000)) as server:
        found = [photo.id for photo in source(server).search("pizza")]
        assert server.requests["openverse"] == 20
    assert found == ids(400)


def test_other_licences_than_asked_for_are_not_taken():
    with fake.FakeServices(ids(3)) as server:
        assert not list(source(server, licences=("cc0",)).search("x")), "the fake's photos are all CC BY"


def test_a_union_of_words_has_no_photo_twice():
    with fake.FakeServices(ids(60)) as server:
        server.found = lambda word: {"a": ids(30), "b": ids(60)[10:]}[word]
        assert [photo.id for photo in source(server).search(["a", "b"])] == ids(60)


def test_duplicates_across_pages_come_once():
    with fake.FakeServices(ids(30)) as server:
        server.found = lambda word: ids(30)[:20] + ids(30)[5:]
        assert [photo.id for photo in source(server).search("x")] == ids(30)


@pytest.mark.parametrize(
    "fault",
    [
        fake.answer(b'{"result_count": 900, "page_count": 20, "page": 2, "results": []}', "application/json"),
        fake.status(404),
        fake.status(400),
    ],
    ids=["empty", "404", "400"],
)
def test_a_page_that_promises_more_than_there_is(fault):
    with fake.FakeServices(ids(100)) as server:
        server.faults["openverse"] = iter([None, fault])
        assert [photo.id for photo in source(server).search("x")] == ids(20)
        assert server.requests["openverse"] == 2


@pytest.mark.parametrize(
    "faults",
    [[fake.status(429)] * 3, [fake.status(500), fake.status(502)], [fake.hang(0.6)], [fake.cut(b"{" * 99, 9)]],
    ids=["429", "5xx", "hang", "reset"],
)
def test_passing_trouble(faults):
    with fake.FakeServices(ids(3)) as server:
        server.faults["openverse"] = iter(faults)
        assert len(list(source(server, timeout=(1, 0.3)).search("x"))) == 3
        assert server.requests["openverse"] == len(faults) + 1


def test_retry_after_is_kept():
    with fake.FakeServices(ids(3)) as server:
        server.faults["openverse"] = iter([fake.status(429, Retry_After="1")])
        list(source(server).search("x"))
        (first, *_), (second, *_) = server.log
    assert second - first >= 1.0


@pytest.mark.parametrize(
    ("fault", "message", "tries"),
    [
        (fake.status(401), "Openverse: HTTP 401", 1),
        (
            fake.status(429, Retry_After="4000"),
            "asks to wait 4000 s. What is collected stays; run the same again later",
            1,
        ),
        (fake.status(429, X_RateLimit_Available_anon_sustained="0"), "today's number of questions is used up", 1),
        (fake.status(503), "Openverse: HTTP 503", 6),
        (fake.answer(b"<html>log in</html>", "text/html"), "no JSON", 1),
        *(
            (fake.answer(body, "application/json"), "another than expected", 1)
            for body in (
                b"[]",
                b'{"page_count": 3}',
                b'{"page_count": 3, "results": null}',
                b'{"page_count": 3, "results": {}}',
                b'{"page_count": 3, "results": ["x"]}',
            )
        ),
        (fake.hang(0.3), "look at the network, then run the same again. Without photos", 6),
    ],
    ids=[
        "401",
        "long wait",
        "day used up",
        "503 for ever",
        "login page",
        "a list",
        "no results",
        "null",
        "a dict",
        "a text",
        "hang for ever",
    ],
)
def test_lasting_trouble_is_told_in_one_line(fault, message, tries):
    with fake.FakeServices(ids(3)) as server:
        server.faults["openverse"] = fake.always(fault)
        with pytest.raises(services.ServiceError, match=message) as caught:
            next(source(server, timeout=(1, 0.2)).search("x"))
        assert server.requests["openverse"] == tries
    assert "\n" not in str(caught.value)


def test_a_proxy_that_is_not_there_counts_as_no_network(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(services.ServiceError, match="cannot be reached: connect to the network"):
        next(Openverse(backoff=60).search("x"))


def test_loopback_is_refused_unless_allowed():
    with fake.FakeServices(ids(3)) as server, pytest.raises(services.ServiceError, match="private address"):
        next(Openverse(url=server.openverse_url).search("x"))


@pytest.mark.parametrize(
    ("url", "code", "name"),
    [
        ("https://creativecommons.org/licenses/by/2.0/", ("by", "2.0"), "CC BY 2.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.ja", ("by-nc-sa", "4.0"), "CC BY-NC-SA 4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ("cc0", "1.0"), "CC0 1.0"),
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
