"""Openverse, the search engine for openly licensed media: finds Flickr's Creative Commons photos without a key."""

from helpers.collecting.client import Client
from helpers.collecting.services import LICENCES, Photo, Service, ServiceError, licence_name, one_line

URL = "https://api.openverse.org/v1/images/"
ORIGIN = "flickr"  # whose photos are searched for
PAGE_SIZE = 20  # the most an anonymous caller gets
DEEPEST_PAGE = 20  # so one search word shows 400 photos at most: give several
SETTINGS = {"source": ORIGIN, "category": "photograph", "filter_dead": "true", "mature": "false"}


class Openverse(Service):
    """Search https://openverse.org for photos from Flickr; `url` and the `Client` settings are for a local server.

    Anonymous callers may ask 20 times a minute and 200 times a day, and take what they need, not the catalogue.
    """

    name = "Openverse"

    def __init__(self, licences=LICENCES, url=URL, call_gap=3.1, photo_gap=0.2, backoff=4.0, **client):
        self.licences, self.url = tuple(licences), url
        self.client = Client(call_gap, photo_gap, backoff, **client)

    def query(self, word):
        """See `Service`."""
        return f"openverse {ORIGIN} {','.join(self.licences)} {word}"

    def page(self, word, number):
        """See `Service`. Raises `ServiceError`."""
        params = {"q": word[:200], "license": ",".join(self.licences), **SETTINGS}
        params |= {"page": number, "page_size": PAGE_SIZE}

        def call():
            answer = self.client.session.get(self.url, params=params, timeout=self.client.timeout).json()
            results, pages = answer["results"], int(answer.get("page_count") or 0)
            if not isinstance(results, list):
                raise TypeError
            taken = [one for one in results if one.get("id") and one.get("url") and one.get("license") in self.licences]
            return [_photo(one, self.name) for one in taken], bool(results) and number < min(pages, DEEPEST_PAGE)

        try:
            return self.client.ask(call, self.name)
        except ServiceError as error:
            if number > 1 and error.status in (400, 404):  # fewer pages than promised, today
                return [], None
            raise


def _photo(result, name):
    return Photo(
        id=str(result["id"]),
        title=one_line(result.get("title")),
        creator=one_line(result.get("creator")),
        licence=licence_name(result.get("license"), result.get("license_version")),
        licence_url=one_line(result.get("license_url")),
        page_url=one_line(result.get("foreign_landing_url")),
        source=f"{one_line(result.get('source'))} via {name}",
        sizes=((result.get("width"), result.get("height"), result["url"]),),
        attribution=one_line(result.get("attribution")),
    )
