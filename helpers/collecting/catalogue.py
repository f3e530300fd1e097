"""What a folder of collected photos holds and what was found, asked and refused: survives `kill -9` at any point.

Everything is decided in a small database (`.collecting.db`) first; then the photo's line is added to attributions.csv
and its file appears under its name, two system calls one after the other. Opening the catalogue undoes what was cut
short between them, so folder and attributions.csv agree again before anything else happens.
"""

import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import paths
from helpers.collecting import tables
from helpers.collecting.services import Photo
from helpers.photos.attributions import ATTRIBUTIONS, COLUMNS, DATABASE, EXCLUDE, LEFT_OUT
from helpers.photos.pictures import Fingerprint

_TABLES = """
PRAGMA cache_size=-256; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS pages (label TEXT, query TEXT, number INTEGER, more INTEGER,
    PRIMARY KEY (label, query, number));
CREATE TABLE IF NOT EXISTS photos (place INTEGER PRIMARY KEY, label TEXT, id TEXT, query TEXT, page INTEGER, photo TEXT,
    fate TEXT, reason TEXT, file TEXT, url TEXT, sha256 TEXT, hash TEXT, thumbnail BLOB, date TEXT, UNIQUE (label, id));
COMMIT;
"""


class Found(NamedTuple):
    """A downloaded photo, whole and decoded, waiting in the file `part`."""

    file: str  # relative to the folder, with /
    part: Path
    url: str
    sha256: str
    fingerprint: Fingerprint


class Catalogue:
    """The catalogue of `folder`, for one process at a time; a context manager."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        names = tables.read_exclude(self.folder / EXCLUDE)
        try:
            with contextlib.ExitStack() as on_failure:
                self._database = sqlite3.connect(self.folder / DATABASE, timeout=1, isolation_level=None)
                on_failure.callback(self._database.close)
                self._database.create_function("excluded", 2, lambda label, id: bool({id, f"{label}/{id}"} & names))
                self._database.executescript(_TABLES)
                self._reconcile()
                on_failure.pop_all()
        except sqlite3.DatabaseError as error:
            raise RuntimeError(f"{self.folder}: {_advice(error)} ({error})") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._publish_tables()
        finally:
            self._database.close()

    def page(self, label, query, number, ask):
        """(the undecided `Photo`s of a page of search results, whether there is another page).

        Undecided are those neither kept nor refused yet and not excluded. A page that is not stored is asked for by
        `ask()`, (list of `Photo`, whether there is another), and stored, all or nothing; photos known already keep
        their place. A page without photos is not stored: a later run is to ask again. None: the page was refused.
        """
        rows = self._rows("SELECT more FROM pages WHERE label=? AND query=? AND number=?", label, query, number)
        photos, more = ([], bool(rows[0][0])) if rows else ask()
        if photos:
            self._store(label, query, number, photos, more)
        wanted = "label=? AND query=? AND page=? AND fate IS NULL AND NOT excluded(label, id)"
        rows = self._rows(f"SELECT photo FROM photos WHERE {wanted} ORDER BY place", label, query, number)
        return [_photo(text) for (text,) in rows], more

    def _store(self, label, query, number, photos, more):
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT OR IGNORE INTO photos (label, id, query, page, photo) VALUES (?, ?, ?, ?, ?)",
                [(label, photo.id, query, number, json.dumps(dataclasses.asdict(photo))) for photo in photos],
            )
            self._database.execute("INSERT INTO pages VALUES (?, ?, ?, ?)", (label, query, number, more))
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")  # on the disk before its photos are: their credits come from here

    def queries(self):
        """The searches and manifests that the folder's photos come from."""
        return {query for (query,) in self._rows("SELECT DISTINCT query FROM pages")}

    def kept(self, label):
        """Number of photos of `label` in the folder."""
        return self._rows("SELECT count(*) FROM photos WHERE label=? AND fate='kept'", label)[0][0]

    def fingerprints(self):
        """{file: `Fingerprint`} of the kept photos of all labels."""
        rows = self._rows("SELECT file, hash, thumbnail FROM photos WHERE fate='kept' ORDER BY place")
        return {
            file: Fingerprint(int(bits, 16), np.frombuffer(thumbnail, np.uint8).reshape(16, 16, 3))
            for file, bits, thumbnail in rows
        }

    def keep(self, label, photo, found):
        """Credit a photo and let its file appear."""
        date, (bits, thumbnail) = datetime.date.today().isoformat(), found.fingerprint
        self._database.execute(
            "UPDATE photos SET fate='kept', reason=NULL, file=?, url=?, sha256=?, hash=?, thumbnail=?, date=? "
            "WHERE label=? AND id=?",
            (found.file, found.url, found.sha256, f"{bits:x}", thumbnail.tobytes(), date, label, photo.id),
        )
        line = tables.lines([tables.attribution(found.file, found.sha256, date, photo).values()]).encode()
        with (self.folder / ATTRIBUTIONS).open("ab", buffering=0) as credits:
            credits.write(line)
            os.fsync(credits.fileno())
        os.replace(found.part, self.folder / found.file)

    def take_back(self, label, photo, reason):
        """Delete a photo that was kept, and note why; the next run asks for it again."""
        for (file,) in self._rows("SELECT file FROM photos WHERE label=? AND id=? AND fate='kept'", label, photo.id):
            (self.folder / file).unlink()
        self.leave_out(label, photo, reason, final=False)

    def leave_out(self, label, photo, reason, final=True):
        """Note why a photo is not kept; not `final`: the next run asks for it again."""
        fate = "left out" if final else None
        self._rows("UPDATE photos SET fate=?, reason=? WHERE label=? AND id=?", fate, reason, label, photo.id)

    def reasons(self, label):
        """{id: reason} of the photos of `label` that are not kept, in the order they were found."""
        return {photo_id: reason for its_label, photo_id, reason in self._left_out() if its_label == label}

    def records(self):
        """[(file, sha256, date, Photo, url)] of all kept photos, by label and in the order they were found."""
        rows = self._rows("SELECT file, sha256, date, photo, url FROM photos WHERE fate='kept' ORDER BY label, place")
        return [(file, sha256, date, _photo(text), url) for file, sha256, date, text, url in rows]

    def _reconcile(self):
        """Delete what is excluded, forget what is gone or changed (its file stays), drop what was cut short."""
        for part in [*self.folder.glob(f"*{tables.PART}"), *self.folder.glob(f"*/*{tables.PART}")]:
            part.unlink(missing_ok=True)  # a thread of a stopped run may be faster
        self._adopt()
        rows = self._rows("SELECT place, file, sha256, excluded(label, id) FROM photos WHERE file IS NOT NULL")
        for place, file, sha256, excluded in rows:
            path = self.folder / file
            if excluded:
                path.unlink(missing_ok=True)
            if not path.exists() or paths.checksum(path) != sha256:
                self._rows("UPDATE photos SET fate=NULL WHERE place=? AND fate='kept'", place)
        self._publish_tables()

    def _publish_tables(self):
        """Write attributions.csv and left_out.csv anew, in one order whatever the order of events was."""
        written = {}
        for row in tables.read_attributions(self.folder / ATTRIBUTIONS):
            written.setdefault(row["file"], row)  # the last line may be cut short
        rows = {file: written.get(file, {}) | tables.attribution(file, *facts) for file, *facts, _ in self.records()}
        for file, row in written.items():  # others', and of photos changed by hand
            if file not in rows and (self.folder / file).is_file():
                rows[file] = row
        for file, text in self._rows("SELECT file, photo FROM photos WHERE file IS NOT NULL ORDER BY label, place"):
            if file not in rows and (self.folder / file).is_file():
                rows[file] = tables.attribution(file, paths.checksum(self.folder / file), "", _photo(text))
        columns = list(dict.fromkeys(itertools.chain(COLUMNS, *written.values())))  # with the reader's own
        cells = ([row.get(name) for name in columns] for row in rows.values())
        tables.write_table(self.folder / ATTRIBUTIONS, columns, cells)
        tables.write_table(self.folder / LEFT_OUT, ("label", "id", "reason"), self._left_out())

    def _adopt(self):
        """Record again photos whose files are in the folder, but whose entries were lost in a power cut."""
        lost = self._rows("SELECT place, label, id FROM photos WHERE file IS NULL")
        labels = {label for _, label, _ in lost}
        there = {label: {path.stem: path for path in (self.folder / label).glob("*.*")} for label in labels}
        for place, label, photo_id in lost:
            if path := there[label].get(photo_id):
                self._rows("UPDATE photos SET file=? WHERE place=?", path.relative_to(self.folder).as_posix(), place)

    def _left_out(self):
        why = f"CASE WHEN excluded(label, id) THEN 'named in {EXCLUDE}' ELSE reason END AS why"
        wanted = "fate IS NOT 'kept' AND why <> ''"
        return self._rows(f"SELECT label, id, {why} FROM photos WHERE {wanted} ORDER BY label, place")

    def _rows(self, query, *values):
        return self._database.execute(query, values).fetchall()


def _advice(error):
    if "locked" in str(error):
        return "another run is collecting here; wait for it"
    if isinstance(error, sqlite3.OperationalError):
        return "free space on the disk or make the folder writable, and run the same again; what is collected stays"
    return f"delete {DATABASE} there and collect again; photos and credits stay"


def _photo(text):
    fields = json.loads(text)
    return Photo(**{**fields, "sizes": tuple(map(tuple, fields["sizes"]))})
