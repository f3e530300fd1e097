"""Collecting photos: names, addresses, pace, manifests."""

import csv
import io
import itertools
import socket
import time

import fake_services as fake
import numpy as np
import pytest
from fake_services import ids
from PIL import Image
from test_collecting import assert_credited, attributions, collect, contents

from helpers import collecting
from helpers.collecting import client, collector, contact_sheet, services
from helpers.collecting.catalogue import Catalogue
from helpers.collecting.pace import Pace


@pytest.mark.parametrize("photo_id", ["../../evil", "a/b", "", "nul\0", "x" * 65, ".hidden"])
def test_odd_ids_never_become_file_names(tmp_path, photo_id):
    photo = services.Photo(photo_id, "", "", "", "", "", "", ((None, None, "http://127.0.0.1:9/"),))
    with pytest.raises(services.LeftOut, match="file name"):
        collector._fetch(None, tmp_path, "pizza", 1, photo)


RESERVED = ["CON", "nul", "com1", "LPT9.txt", "aux .x", "pizza.", "pizza "]


@pytest.mark.parametrize("label", ["../evil", "", ".hidden", "_ramen", "a/b", "a\nb", *RESERVED])
def test_labels_are_folder_names(tmp_path, label):
    with pytest.raises(ValueError, match="Windows knows no folder" if label in RESERVED else "folder name"):
        collecting.collect(None, label, "x", 1, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_manifest_of_nothing_makes_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no collected photos"):
        collecting.write_manifest(tmp_path / "phtos", tmp_path / "manifest.csv")
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


def test_the_pace_of_downloads_and_of_a_service_that_refuses(server, tmp_path):
    server.photos, began = fake.ids(8), time.monotonic()
    collecting.collect(server.openverse(call_gap=0, photo_gap=0.15), "pizza", "ピザ", 8, tmp_path)
    assert time.monotonic() - began >= 7 * 0.15
    pace = Pace(0.1, 0)
    pace.refused(time.monotonic())
    assert pace._gap == pytest.approx(0.2)
    for _ in range(20):
        pace.answered()
    assert pace._gap == pytest.approx(0.1)


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
