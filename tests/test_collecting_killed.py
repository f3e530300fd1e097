"""Collecting photos: lost power, kills, the contact sheet and the command."""

import contextlib
import csv
import hashlib
import importlib
import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
from unittest import mock

import fake_services as fake
import pytest
from fake_services import ids
from test_collecting import assert_credited, attributions, checksums, collect, collected, contents

from helpers import collecting, paths
from helpers.collecting import collector, contact_sheet, flickr, practice
from helpers.collecting.catalogue import DATABASE, Catalogue

KILLS = int(os.environ.get("COLLECTING_KILLS", 50))


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


def test_the_contact_sheet_quotes_addresses(tmp_path):
    text = "file,title,creator,licence,page_url\nramen/my#1.jpg,,,,\n"
    (tmp_path / "attributions.csv").write_text(text, encoding="utf-8")
    assert 'src="ramen/my%231.jpg"' in contact_sheet.write(tmp_path).read_text(encoding="utf-8")


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


@pytest.mark.parametrize("arguments", [["--label", ""], ["--count", "-3"]])
def test_the_command_collects_nothing_by_mistake(command, arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "--label: a name is needed; --count: at least 1" in capsys.readouterr().err


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
