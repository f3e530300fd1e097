"""Collect photos politely into `<folder>/<label>/`, each credited in attributions.csv; stopped anywhere, it goes on."""

import collections
import contextlib
import csv
import dataclasses
import functools
import hashlib
import itertools
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from helpers import paths
from helpers.collecting import curation
from helpers.collecting.catalogue import Catalogue, Found
from helpers.collecting.services import LeftOut, Photo, ServiceError, Unreachable
from helpers.collecting.tables import part_of, write_table
from helpers.photos import pictures

BLOG_WORDS = {  # the blog searched in Japanese; the further words are ours: Openverse shows 400 photos a word
    "okonomiyaki": ["お好み焼き", "okonomiyaki", "広島焼き", "モダン焼き", "okonomiyaki hiroshima"],
    "pizza": ["ピザ", "pizza", "ピッツァ", "pizza margherita"],
}
SMALLEST = 320  # pixels of a photo's shorter side; the blog's network sees 160
WORKERS = 6  # downloads at once
SILENT = 6  # photos in a row that did not come: the network is at fault, not the photos
AGAIN = "Mend the network and run the same again; what is collected stays."
CREDIT_FIELDS = ("title", "creator", "licence", "licence_url", "page_url", "source")
MANIFEST_COLUMNS = ("label", "id", "sha256", "url", *CREDIT_FIELDS)


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
    progress: True, False, or None: a bar but in logs.
    Raises ValueError for a label that is no folder name, `ServiceError` when the service or the network is down.
    """
    words = [words] if isinstance(words, str) else list(words)
    with _open(folder, label) as catalogue:
        candidates = _candidates(catalogue, source, label, words)
        return _gather(catalogue, source.client, label, count, candidates, progress, smallest)


def write_manifest(folder, path):
    """Write the CSV by which `collect_manifest` fetches the very photos of `folder` again."""
    with Catalogue(folder) as catalogue:
        rows = [
            (file.split("/")[0], photo.id, sha256, url, *(getattr(photo, field) for field in CREDIT_FIELDS))
            for file, sha256, _, photo, url in catalogue.records()
        ]
    write_table(Path(path), MANIFEST_COLUMNS, rows)


def collect_manifest(path, folder, client, progress=None):
    """Fetch the photos a manifest lists into `folder`; returns one `Report` a label.

    A photo that is gone, or whose bytes have changed since, is named in the report with that reason and not kept.
    client: a `collecting.client.Client`. Raises ValueError if the file is no manifest or the folder holds other
    photos, `ServiceError` as `collect`.
    """
    query = f"manifest {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    reports = []
    for label, sums in _read_manifest(path).items():
        with _open(folder, label) as catalogue:
            if catalogue.queries() - {query}:
                raise ValueError(f"{folder} holds other photos; a manifest's set wants a folder of its own")
            missing, _ = catalogue.page(label, query, 1, lambda photos=tuple(sums): (photos, False))
            count, named = catalogue.kept(label) + len(missing), {photo.id: sums[photo] for photo in sums}
            reports.append(_gather(catalogue, client, label, count, iter(missing), progress, sums=named))
    return reports


def _read_manifest(path):
    """{label: {Photo: sha256}}"""
    with Path(path).open(encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table))
    if not rows or not set(MANIFEST_COLUMNS) <= set(rows[0]):
        raise ValueError(f"{path}: no manifest; a CSV file with the columns {', '.join(MANIFEST_COLUMNS)} is wanted")
    labels = {}
    for row in rows:
        facts = {field: row[field] or "" for field in ("id", *CREDIT_FIELDS)}
        photo = Photo(sizes=((None, None, row["url"] or ""),), **facts)
        labels.setdefault(row["label"], {})[photo] = row["sha256"]
    return labels


@contextlib.contextmanager
def _open(folder, label):
    if not re.fullmatch(r"\w[\w .-]*", label):
        raise ValueError(f"label {label!r}: a folder name of letters, digits, spaces, . _ - is wanted")
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


def _fetch(client, folder, label, smallest, sums, photo):
    """Download one photo into its .collecting file, in a thread of its own. Raises `LeftOut` or `Unreachable`."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", photo.id):
        raise LeftOut("its id cannot be a file name")
    url = photo.url(smallest)
    data = client.download(url)
    sha256 = hashlib.sha256(data).hexdigest()
    if sums and sums[photo.id] != sha256:
        raise LeftOut("changed: its bytes are not those the manifest names")
    suffix, decoded = curation.decode(data, smallest)
    if not sums:
        curation.judge(decoded, smallest)
    found = Found(f"{label}/{photo.id}{suffix}", url, sha256, pictures.fingerprint(decoded.image))
    (folder / label).mkdir(exist_ok=True)
    part = part_of(folder / found.file)
    part.write_bytes(data)
    paths.sync(part)
    return found


def _gather(catalogue, client, label, count, candidates, progress, smallest=SMALLEST, sums=None):
    """Download side by side, decide one by one in order, until `count` are kept or there are no more."""
    before = kept = catalogue.kept(label)
    fingerprints = None if sums else catalogue.fingerprints()
    unanswered, threads = 0, ThreadPoolExecutor(WORKERS)
    fetch = functools.partial(threads.submit, _fetch, client, catalogue.folder, label, smallest, sums)
    downloads = _downloads(candidates, fetch, most=lambda: min(4 * WORKERS, count - kept))
    bar = tqdm(total=count, initial=kept, desc=label, unit="photo", disable=None if progress is None else not progress)
    try:
        while kept < count and (download := next(downloads, None)):
            photo, future = download
            trouble = _decide(catalogue, label, photo, future, fingerprints)
            kept += trouble is None
            bar.update(trouble is None)
            unanswered = unanswered + 1 if isinstance(trouble, Unreachable) else 0
            if unanswered == SILENT:
                raise ServiceError(f"{SILENT} photos in a row did not arrive; the last: {trouble}. {AGAIN}")
    finally:
        client.stopped.set()
        threads.shutdown(cancel_futures=True)
        client.stopped.clear()
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


def _decide(catalogue, label, photo, future, fingerprints):
    """Keep a downloaded photo; else note, and return, the `LeftOut` or `Unreachable` with the reason."""
    try:
        found = future.result()
        if fingerprints is not None:  # a manifest's photos were judged when they were first collected
            if twin := curation.twin(found.fingerprint, fingerprints):
                part_of(catalogue.folder / found.file).unlink()
                raise LeftOut(f"near-duplicate: of {twin}")
            fingerprints[found.file] = found.fingerprint
    except (LeftOut, Unreachable) as error:
        catalogue.leave_out(label, photo, str(error), final=isinstance(error, LeftOut))
        return error
    catalogue.keep(label, photo, found)
