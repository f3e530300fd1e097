"""Openverse, the search engine for openly licensed media: finds Flickr's Creative Commons photos without a key."""

from helpers.collecting.client import Client
from helpers.collecting.services import (
    LICENCES,
    Photo,
    Service,
    ServiceError,
    integer,
    licence_name,
    one_line,
    read_records,
    size,
)

URL = "https://api.openverse.org/v1/images/"
ORIGIN = "flickr"  # whose photos are searched for
PAGE_SIZE = 20  # the most an anonymous caller gets
DEEPEST_PAGE = 12  # so one search word shows 240 photos at most to anonymous callers: give several
SETTINGS = {"source": ORIGIN, "category": "photograph", "filter_dead": "true", "mature": "false"}


class Openverse(Service):
    """Search https://openverse.org for photos from Flickr; `url` and the `Client` settings are for a local server.

    Anonymous callers may ask 20 times a minute and 200 times a day, and take what they need, not the catalogue.
    """

    name = "Openverse"

    def __init__(self, licences=LICENCES, url=URL, call_gap=3.1, photo_gap=0.2, backoff=4.0, **client):
        self.licences, self.url = tuple(licences), url
        self.client = Client(call_gap, photo_gap, backoff, **client)
        self._promised = {}  # word: pages that its first page tells of

    def query(self, word):
        """See `Service`."""
        return f"openverse {ORIGIN} {','.join(self.licences)} {word}"

    def page(self, word, number):
        """See `Service`. Raises `ServiceError`."""
        try:
            photos, pages, full = self._ask(word, number)
        except ServiceError as error:
            if number > 1 and error.status in (400, 401, 404):  # fewer pages than promised, today
                return [], None
            raise
        if number == 1:
            self._promised[word] = pages
        elif not full:  # such a page counts itself as the last one, be it or not
            if word not in self._promised:
                self._promised[word] = self._ask(word, 1)[1]
            pages = max(pages, self._promised[word])
        return photos, number < min(pages, DEEPEST_PAGE)

    def _ask(self, word, number):
        """(`Photo`s, pages there are according to this page, whether it is a full page)"""
        params = {"q": word[:200], "license": ",".join(self.licences), **SETTINGS}
        params |= {"page": number, "page_size": PAGE_SIZE}

        def call():
            asked = self.client.session.get(self.url, params=params, timeout=self.client.timeout)
            answer = asked.json(parse_int=integer)
            photos, count = read_records(answer["results"], self._photo), len(answer["results"])
            found = int(answer.get("result_count") or 0) if count else PAGE_SIZE + 1  # look beyond an empty page
            return photos, max(int(answer.get("page_count") or 0), -(-found // PAGE_SIZE)), count == PAGE_SIZE

        return self.client.ask(call, self.name)

    def _photo(self, result):
        if not (result.get("id") and result.get("license") in self.licences):
            return None
        return Photo(
            id=one_line(result["id"]),
            title=one_line(result.get("title")),
            creator=one_line(result.get("creator")),
            licence=licence_name(result["license"], one_line(result.get("license_version"))),
            licence_url=one_line(result.get("license_url")),
            page_url=one_line(result.get("foreign_landing_url")),
            source=f"{one_line(result.get('source'))} via {self.name}",
            sizes=(size(result.get("width"), result.get("height"), result.get("url")),),
            attribution=one_line(result.get("attribution")),
        )
