"""Collect photos politely into `<folder>/<label>/`, each credited in attributions.csv; stopped anywhere, it goes on."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import re
import secrets
import threading
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from helpers import paths
from helpers.collecting import curation
from helpers.collecting.catalogue import Catalogue, Found
from helpers.collecting.services import LeftOut, ServiceError, Unreachable
from helpers.collecting.tables import CREDIT_FIELDS, MANIFEST_COLUMNS, PART, read_manifest, write_table
from helpers.collecting.verdicts import Verdicts
from helpers.photos import pictures
from helpers.photos.attributions import DATABASE

BLOG_WORDS = {  # the blog searched in Japanese; the further words are ours: Openverse shows 240 photos a word
    "okonomiyaki": ["お好み焼き", "okonomiyaki", "広島焼き", "モダン焼き", "okonomiyaki hiroshima"],
    "pizza": ["ピザ", "pizza", "ピッツァ", "pizza margherita"],
}
SMALLEST = 320  # pixels of a photo's shorter side; the blog's network sees 160
WORKERS, MOST = 6, 24  # downloads at once, and those on the way with those whose verdict waits
RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])([ .].*)?|.*[ .]", re.IGNORECASE)  # names Windows refuses


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of one label: photos `kept` of those `wanted`, of which `fetched` in this run; {id: reason}."""

    label: str
    wanted: int
    kept: int
    fetched: int
    left_out: dict

    def __str__(self):
        reasons = collections.Counter(reason.split(":")[0] for reason in self.left_out.values())
        lines = [f"{self.label}: {self.kept} photos of {self.wanted} wanted, {self.fetched} fetched now"]
        lines += [f"  {number:4d} left out: {reason}" for reason, number in reasons.most_common()]
        return "\n".join(lines)


def collect(source, label, words, count, folder, smallest=SMALLEST, progress=None):
    """Bring `<folder>/<label>/` to `count` photos found by `words` (text or list, searched in turn): a `Report`.

    source: a `collecting.services.Service` such as `Openverse()` or `Flickr()`. Photos are taken in the order of the
    search, so the set does not depend on which download ends first. Files are named by the photo's id and hold the
    service's bytes unchanged. Left out, with the reason in left_out.csv: near-duplicates, stand-ins, too small (below
    `smallest` pixels), flat, framed, damaged, gone, and what exclude.txt names (one `label/id` a line). A second call
    fetches only what is missing or was changed by hand; a changed file stays until the photo is there to replace it.
    progress: True, False, or None: only in a terminal or notebook.
    Raises ValueError for a label that is no folder name and for an attributions.csv or exclude.txt that cannot be read,
    RuntimeError where another run collects here or the database is damaged, `ServiceError` when the service or the
    network is down.
    """
    words = [words] if isinstance(words, str) else list(words)
    with _open(folder, label) as catalogue:
        candidates = _candidates(catalogue, source, label, words)
        return _gather(catalogue, source.client, label, count, candidates, progress, smallest)


def write_manifest(folder, path):
    """Write the CSV by which `collect_manifest` fetches the very photos of `folder` again.

    Raises FileNotFoundError where nothing was collected into it.
    """
    if not (Path(folder) / DATABASE).exists():
        raise FileNotFoundError(f"{folder} holds no collected photos: collect some first, or correct its path")
    with Catalogue(folder) as catalogue:
        rows = [
            (file.split("/")[0], photo.id, sha256, url, *(getattr(photo, field) for field in CREDIT_FIELDS))
            for file, sha256, _, photo, url in catalogue.records()
        ]
    write_table(Path(path), MANIFEST_COLUMNS, rows)


def collect_manifest(path, folder, client, progress=None):
    """Fetch the photos a manifest lists into `folder`; returns one `Report` a label.

    A photo that is gone, or whose bytes have changed since, is named in the report with that reason and not kept.
    client: a `collecting.client.Client`. Raises FileNotFoundError for no file, ValueError if it is no manifest or the
    folder holds other photos; errors as for `collect`.
    """
    query = f"manifest {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    reports = []
    for label, sums in read_manifest(path).items():
        with _open(folder, label) as catalogue:
            if catalogue.queries() - {query}:
                raise ValueError(f"{folder} holds other photos; a manifest's set wants a folder of its own")
            missing, _ = catalogue.page(label, query, 1, lambda photos=tuple(sums): (photos, False))
            count, named = catalogue.kept(label) + len(missing), {photo.id: sums[photo] for photo in sums}
            reports.append(_gather(catalogue, client, label, count, iter(missing), progress, sums=named))
    return reports


@contextlib.contextmanager
def _open(folder, label):
    if not re.fullmatch(r"[^\W_][\w .-]{0,79}", label):
        wanted = "expected a folder name: a letter or digit, then up to 79 of those, spaces, . _ -"
        raise ValueError(f"label {label[:99]!r}: {wanted}")
    if RESERVED.fullmatch(label):
        raise ValueError(
            f"label {label!r}: Windows knows no folder of this name; choose another, as {label.strip(' .')}_1"
        )
    with warnings.catch_warnings(), Catalogue(folder) as catalogue:
        warnings.simplefilter("ignore")  # Pillow's on odd metadata
        yield catalogue


def _candidates(catalogue, source, label, words):
    """Undecided photos in the order of the search; pages seen in an earlier run are not asked for again."""
    for word in words:
        query, number, more = source.query(word), 0, True
        while more:
            number += 1
            photos, more = catalogue.page(label, query, number, functools.partial(source.page, word, number))
            yield from photos


class Download(NamedTuple):
    """What came from `url`, in the file `part`."""

    url: str
    part: Path


def _fetch(client, folder, label, smallest, photo):
    """Download one photo into a .collecting file, in a thread of its own. Raises `LeftOut` or `Unreachable`."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", photo.id):
        raise LeftOut("its id cannot be a file name")
    url = photo.url(smallest)
    data = client.download(url)
    (folder / label).mkdir(exist_ok=True)
    part = folder / label / f"{photo.id}.{secrets.token_hex(4)}{PART}"  # a stopped run may still have one of this id
    part.write_bytes(data)
    return Download(url, part)


def _start(slots, stopped, work, photo):
    """`work(photo)` as a `Future`, in a thread that nobody waits for once `stopped` is set."""
    future = Future()

    def run():
        with slots:
            try:
                if stopped.is_set():
                    raise Unreachable("stopped before it was asked for")
                download = work(photo)
                if stopped.is_set():
                    download.part.unlink(missing_ok=True)
                future.set_result(download)
            except BaseException as error:
                future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _gather(catalogue, client, label, count, candidates, progress, smallest=SMALLEST, sums=None):
    """Download side by side, decide one by one in order, until `count` are kept or there are no more."""
    before = kept = catalogue.kept(label)
    verdicts = Verdicts(catalogue, client, label)
    judge = functools.partial(_judge, smallest, sums, {} if sums else catalogue.fingerprints())
    fetch = functools.partial(_fetch, client, catalogue.folder, label, smallest)
    start = functools.partial(_start, threading.Semaphore(WORKERS), client.stopped, fetch)
    downloads = _downloads(candidates, start, most=lambda: min(max(WORKERS, MOST - verdicts.waiting), count - kept))
    bar = tqdm(total=count, initial=kept, desc=label, unit="photo", disable=None if progress is None else not progress)
    try:
        while kept < count and (download := next(downloads, None)):
            photo, future = download
            trouble, came = _decide(catalogue, label, photo, future, smallest, judge)
            kept += trouble is None
            bar.update(trouble is None)
            verdicts.add(photo, trouble, came)
        verdicts.finish()
    finally:
        client.stop()
        bar.close()
    return Report(label, count, kept, kept - before, catalogue.reasons(label))


def _downloads(candidates, submit, most):
    """Yield (photo, future) in order, with `most()` on the way; a `ServiceError` of the search comes after the last."""
    waiting, trouble = collections.deque(), None
    while True:
        try:
            for photo in itertools.islice(candidates, most() - len(waiting)):
                waiting.append((photo, submit(photo)))
        except ServiceError as error:
            trouble = error
        if not waiting:
            break
        yield waiting.popleft()
    if trouble:
        raise trouble


def _decide(catalogue, label, photo, future, smallest, judge):
    """Keep a downloaded photo, or find why not: (the `LeftOut` or `Unreachable`, or None; `Fingerprint` of what came).

    Pictures are decoded here, one at a time, for memory's sake.
    """
    part = fingerprint = None
    try:
        url, part = future.result()
        data = part.read_bytes()
        suffix, decoded = curation.decode(data, smallest)
        fingerprint = pictures.fingerprint(decoded.image)
        found = Found(f"{label}/{photo.id}{suffix}", part, url, hashlib.sha256(data).hexdigest(), fingerprint)
        judge(photo, decoded, found)
    except (LeftOut, Unreachable) as error:
        if part:
            part.unlink()
        return error, fingerprint
    paths.sync(part)
    catalogue.keep(label, photo, found)
    return None, fingerprint


def _judge(smallest, sums, fingerprints, photo, decoded, found):
    """Raise `LeftOut` for a photo that is not to be kept."""
    if sums:  # a manifest's photos were judged when they were first collected
        if sums[photo.id] != found.sha256:
            raise LeftOut("changed: its bytes are not those the manifest names")
        return
    curation.judge(decoded, smallest)
    if twin := curation.twin(found.fingerprint, fingerprints):
        raise LeftOut(f"near-duplicate: of {twin}")
    fingerprints[found.file] = found.fingerprint
