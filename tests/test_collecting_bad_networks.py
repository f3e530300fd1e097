"""Collecting photos over bad networks: nothing is refused for good."""

import io
import itertools

import fake_services as fake
import pytest
from fake_services import ids
from PIL import Image, ImageDraw
from test_collecting import CARD, collect, collected

from helpers import collecting
from helpers.collecting import services


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
