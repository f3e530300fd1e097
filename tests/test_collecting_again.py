"""Collecting photos again: what is kept, replaced, excluded and credited."""

import itertools
import sqlite3
from pathlib import Path

import fake_services as fake
import pytest
from fake_services import ids
from PIL import Image
from test_collecting import assert_credited, attributions, collect, collected, contents

from helpers import collecting
from helpers.collecting import services
from helpers.collecting.catalogue import DATABASE, Catalogue


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


def test_a_column_of_the_readers_own_stays(server, tmp_path):
    collecting.collect(server.openverse(), "pizza", "ピザ", 2, tmp_path)
    table = tmp_path / "attributions.csv"
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    rows = [f"{head},@note", *(f"{row},asked {number}" for number, row in enumerate(rows))]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    for _ in range(2):
        collecting.collect(server.openverse(), "pizza", "ピザ", 3, tmp_path)
    assert [row["'@note"] for row in attributions(tmp_path)] == ["asked 0", "asked 1", ""]  # no formula


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
