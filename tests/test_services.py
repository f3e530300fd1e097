"""Flickr (through the real flickrapi) and Openverse: questions, paging, odd answers, and the key that shows nowhere."""

import json

import fake_services as fake
import pytest
from fake_services import ids

from helpers import collecting
from helpers.collecting import services

PHOTOS = 3  # of the fake services; `key`: of every test here
pytestmark = pytest.mark.usefixtures("key")
SEARCH, LICENCES = "flickr.photos.search", "flickr.photos.licenses.getInfo"  # the questions to Flickr
CC = "https://creativecommons.org"


def found(server, question, words="x", **settings):
    service = getattr(server, question.split(".")[0])
    return [photo.id for photo in service(**settings).search(words)]


def test_a_photo_of_openverse_has_all_a_credit_needs(server):
    photo = next(server.openverse().search("お好み焼き"))
    assert photo == services.Photo(
        id=ids(1)[0],
        title="お好み焼き 0",
        creator="kosabe",
        licence="CC BY 2.0",
        source="flickr via Openverse",
        licence_url=f"{CC}/licenses/by/2.0/",
        attribution="as given",
        page_url=f"https://www.flickr.com/photos/x/{ids(1)[0]}",
        sizes=((420, 360, f"{server.url}/{ids(1)[0]}.jpg"),),
    )
    assert photo.credit == "CC BY 2.0 by kosabe"
    _, _, headers, asked = server.log[0]
    rest = {"category": "photograph", "filter_dead": "true", "mature": "false", "page": "1", "page_size": "20"}
    assert asked == {"q": "お好み焼き", "source": "flickr", "license": "by,by-sa,cc0,pdm", **rest}
    assert headers["User-Agent"].startswith("where-a-network-looks/")


def test_a_photo_of_flickr_has_all_a_credit_needs(server):
    photo = next(server.flickr().search("ピザ"))
    licences, (_, _, headers, asked) = server.log
    assert photo.credit == "CC BY 2.0 by kosabe" and photo.title == "ピザ 0"
    assert photo.page_url == f"https://www.flickr.com/photos/1234@N00/{ids(1)[0]}"
    assert photo.licence_url == f"{CC}/licenses/by/2.0/"
    assert photo.attribution == f'"ピザ 0" by kosabe ({photo.page_url}), CC BY 2.0 ({photo.licence_url})'
    assert photo.url(320) == f"{server.url}/{ids(1)[0]}_z.jpg", "the smallest that is large enough"
    assert asked["text"] == "ピザ" and asked["media"] == "photos" and asked["sort"] == "relevance"
    assert asked["license"] == "4,5,9,10,11", "ids from licenses.getInfo"
    assert licences[1] == LICENCES
    assert headers["User-Agent"].startswith("where-a-network-looks/")


def test_missing_facts_are_left_empty(server):
    server.photos = ids(5)
    photo = list(server.openverse().search("x"))[4]
    assert (photo.title, photo.creator, photo.credit) == ("", "", "CC BY 2.0, creator unknown")
    assert photo.url(10_000) == f"{server.url}/{photo.id}.jpg", "of unknown size: worth a look"


def repeating(found, page, size):
    return found[((page - 1) * size) % 4000 :][:size]


def duplicates_and_less_than_promised(found, page, size):
    return found[(page - 1) * 200 :][:size] if page <= 3 else []


@pytest.mark.parametrize(
    ("question", "odd", "offered", "shown", "asked"),
    [
        ("openverse", None, 1000, 240, 12),  # the depth Openverse allows
        *(("openverse", fake.status(code), 100, 20, 2) for code in (400, 401, 404)),
        (SEARCH, repeating, 5000, 4000, 16),
        (SEARCH, duplicates_and_less_than_promised, 2000, 650, 8),  # an empty page need not be the last
    ],
)
def test_paging_ends(server, question, odd, offered, shown, asked):
    server.photos, server.flickr_pages = ids(offered), odd
    server.faults["openverse"] = iter([None, odd])
    assert found(server, question) == ids(shown)
    assert server.requests[question] == asked


@pytest.mark.parametrize("gap", [[0], [1], [1, 2], [3]])
@pytest.mark.parametrize("kind", ["empty", "short"])
def test_an_empty_or_short_page_is_not_the_end(server, gap, kind):
    server.photos, pages = ids(85), iter(range(9))

    def odd(handler):
        number = next(pages)
        shown = handler.server.photos[20 * number :][: 20 if number not in gap else 5 if kind == "short" else 0]
        results = [handler._openverse_result(photo_id) for photo_id in shown]
        counts = {"result_count": 85 if shown else 0, "page_count": 5 if len(shown) == 20 else number + bool(shown)}
        handler.send({**counts, "page": number + 1, "results": results})

    server.faults["openverse"] = fake.always(odd)
    missing = 15 if kind == "short" else 20
    assert len(found(server, "openverse")) == 85 - missing * len(gap)
    assert server.requests["openverse"] == 5
    source = server.openverse()
    pages = iter([1, 0, 2])
    if gap == [1] and kind == "empty":  # a later run begins there, and asks what the first page promises
        assert source.page("x", 2) == ([], True) and server.requests["openverse"] == 7


ODD_RECORDS = {
    "openverse": [
        *({"width": odd} for odd in ("512", [], {}, float("nan"), -1, 10**400)),
        *({"title": odd} for odd in ("a" * 200_000, "\ud800", {"a": 1}, 7)),
        *({"creator": "\ud800", "license_url": odd, "foreign_landing_url": odd} for odd in ("\udfff", [], None)),
        *({"url": odd} for odd in ("\ud800", 7, [], {}, "x" * 9000)),
        *({"id": odd} for odd in ("\ud800", [], {"a": 1}, "../x")),
        *({"license": odd} for odd in ([], {}, 4)),
    ],
    SEARCH: [
        *({"width_l": odd, "height_m": odd} for odd in (None, "x", [], float("inf"))),
        *({"owner": odd, "ownername": odd, "title": odd} for odd in ("\ud800", None, [], "a" * 200_000)),
        *({"url_m": odd, "url_z": odd} for odd in (None, 7, "\ud800")),
        *({"id": odd} for odd in ("\ud800", None, {})),
        *({"license": odd} for odd in (None, [], {})),
    ],
}


@pytest.mark.parametrize(("question", "change"), [(q, change) for q in ODD_RECORDS for change in ODD_RECORDS[q]])
def test_an_odd_record_costs_at_most_its_own_photo(server, tmp_path, question, change):
    server.photos = ids(5)
    server.changed = lambda number, result: {**result, **change} if number == 1 else result
    source = server.openverse() if question == "openverse" else server.flickr()
    report = collecting.collect(source, "pizza", "x", 5, tmp_path)
    kept = {path.stem for path in (tmp_path / "pizza").iterdir()}
    assert kept >= {"1000", "1002", "1003", "1004"} and report.kept == len(kept)
    report = collecting.collect(source, "pizza", "x", 5, tmp_path)
    assert report.kept == len(kept) and report.fetched == 0


@pytest.mark.parametrize("odd", ["null", "7", "[]", '{"id": ' + "9" * 5000 + "}"])
def test_a_record_that_is_none_costs_no_other(server, odd):
    server.photos = ids(2)
    found(server, "openverse")
    answer = json.dumps({"page_count": 1, "result_count": 3, "results": [7777, server_result(server)]})
    server.faults["openverse"] = iter([fake.json_answer(answer.replace("7777", odd).encode())])
    assert found(server, "openverse") == ["1000"]


@pytest.mark.parametrize("place", ["width_m", "license", "id", "title"])
def test_a_number_of_5000_digits_costs_no_other_photo_of_flickrs(server, place):
    server.photos = ids(3)
    good, odd = ({"id": number, "owner": "o", "license": "4", "url_m": server.url, "width_m": 400} for number in ids(2))
    answer = json.dumps({"stat": "ok", "photos": {"pages": 1, "photo": [{**odd, place: 7777}, good]}})
    server.faults[SEARCH] = iter([fake.json_answer(answer.replace("7777", "9" * 5000).encode())])
    assert found(server, "flickr")[-1] == "1000" and server.requests[SEARCH] == 1


def server_result(server):
    """A record that Openverse might send."""
    facts = {"id": "1000", "url": f"{server.url}/1000.jpg", "license": "by", "license_version": "2.0"}
    return {**facts, "title": "a", "creator": "b", "width": 420, "height": 360}


def test_no_photo_comes_twice_by_several_words_or_across_pages(server):
    server.photos = ids(60)
    server.found = {"a": ids(30), "b": ids(60)[10:], "c": ids(30)[:20] + ids(30)[5:]}.get
    assert found(server, "openverse", ["a", "b"]) == ids(60)
    assert found(server, "openverse", "c") == ids(30)


def test_licences_are_asked_for_once_and_filtered(server):
    assert not found(server, "openverse", licences=("cc0",)), "the fake's photos are all CC BY"
    server.requests.clear()
    server.photos = ids(600)
    assert found(server, "flickr", licences=["by"]) == ids(600)
    assert server.requests == {LICENCES: 1, SEARCH: 3}
    assert {params["license"] for *_, params in server.log[2:]} == {"4,11"}
