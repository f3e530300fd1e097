"""What the photo services share: a `Photo`, its licence, and how a search is read page by page."""

import contextlib
import dataclasses
import re

from helpers.photos.attributions import credit

ODD = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)  # what odd answers raise
LONGEST_TEXT, LONGEST_URL = 500, 2000  # letters
LICENCES = ("by", "by-sa", "cc0", "pdm")  # free to use and to adapt, and a heat map over a photo is an adaptation


class ServiceError(RuntimeError):
    """The service cannot be used now; the message says in one line why and what to do, and never holds a key.

    status: the HTTP status, where the service answered with one.
    """

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status


class LeftOut(ValueError):
    """This photo cannot be used; the message is the reason."""


class Oversized(LeftOut):
    """A picture of too many pixels, which no network puts in another's place."""


class Refused(LeftOut):
    """What came is no picture: where that happens to all photos, the network is at fault and not this photo."""


class Unreachable(OSError):
    """This photo could not be had today; a later run tries again."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """One photo a service offers. sizes: tuples (width, height, url), width and height None where not known."""

    id: str
    title: str
    creator: str
    licence: str
    licence_url: str
    page_url: str
    source: str
    sizes: tuple
    attribution: str = ""

    @property
    def credit(self):
        """The blog's line under a picture, with the licence's version: "CC BY 2.0 by kosabe"."""
        return credit(self.licence, self.creator)

    def url(self, smallest):
        """Address of the smallest size whose shorter side has `smallest` pixels; `LeftOut` if there is none."""
        known = sorted((size for size in self.sizes if size[0] and size[1]), key=lambda size: min(size[:2]))
        fitting = [url for width, height, url in known if min(width, height) >= smallest]
        unknown = [size[2] for size in self.sizes if size not in known]
        if fitting or unknown:
            return (fitting + unknown)[0]
        largest = f"{known[-1][0]}x{known[-1][1]} is the largest" if known else "none"
        raise LeftOut(f"too small: of the sizes offered {largest}, at least {smallest} a side are needed")


def licence_code(url):
    """(code, version) of a Creative Commons address, e.g. ("by", "2.0"); (None, None) for any other."""
    found = re.search(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)", url or "")
    return ({"zero": "cc0", "mark": "pdm"}.get(found[1], found[1]), found[2]) if found else (None, None)


def licence_name(code, version):
    """The name to print, e.g. "CC BY-SA 2.0", "CC0 1.0"."""
    named = {"cc0": "CC0", "pdm": "Public Domain Mark"}.get(code, f"CC {(code or '').upper()}")
    return f"{named} {version or ''}".strip()


def one_line(text):
    """Text from a service without control characters, line breaks and doubled spaces, cut short; "" for None."""
    text = str(text or "")[: 4 * LONGEST_TEXT]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_TEXT]


def size(width, height, url):
    """(width, height, url) as in `Photo.sizes`: pixels may be told as text or not at all. ValueError for no address."""
    if not isinstance(url, str) or not url.isprintable() or not 0 < len(url) <= LONGEST_URL:
        raise ValueError("no address")
    return _pixels(width), _pixels(height), url


def _pixels(number):
    with contextlib.suppress(*ODD):
        return int(number) if 0 < int(number) < 1e6 else None


def integer(digits):
    """A number of an answer; None for one that Python refuses to read, so that it costs one record only."""
    return int(digits) if len(digits) < 100 else None


def read_records(records, read):
    """The `Photo`s that `read(record)` makes of a page's records; it gives None for those that are not wanted.

    An odd record costs that photo only. Raises TypeError where all are odd, or where this is no list.
    """
    if not isinstance(records, list):
        raise TypeError("no list")
    photos, odd = [], 0
    for record in records:
        try:
            photo = read(record)
        except ODD:
            odd += 1
        else:
            photos += [photo] if photo else []
    if records and odd == len(records):
        raise TypeError("no record can be read")
    return photos


class Service:
    """A photo service: subclasses have a `name` as printed, a `client` (the `Client` that asks and downloads), and

    query(word): text that names this search; two searches with the same text find the same photos;
    page(word, number): page `number` (from 1) of the photos found by `word`: (list of `Photo`, whether there is another
    page). None for the latter: the page was refused and the search ends here, but a later run is to ask again.
    A page without photos need not be the last.
    """

    def search(self, words):
        """Yield the `Photo`s found by each of `words` (text or a list of texts), none twice, best match first."""
        seen = set()
        for word in [words] if isinstance(words, str) else words:
            number, more = 0, True
            while more:
                number += 1
                photos, more = self.page(word, number)
                yield from (photo for photo in photos if photo.id not in seen)
                seen |= {photo.id for photo in photos}
