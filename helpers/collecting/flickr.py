"""Flickr, where the blog's photos came from (blog, section 4.1). Needs an API key; new ones go to Pro members only."""

import functools
import logging
import os

import dotenv
import flickrapi

from helpers import paths
from helpers.collecting.client import Busy, Client
from helpers.collecting.services import LICENCES, Photo, Service, ServiceError, licence_code, licence_name, one_line

PAGE_SIZE = 250
DEEPEST = 4000  # no search shows more different photos; later pages repeat
SIZES = "mzcl"  # Flickr's letters for 500, 640, 800 and 1024 pixels on the longer side
EXTRAS = ",".join(["license", "owner_name", *(f"url_{size}" for size in SIZES)])
SETTINGS = {"media": "photos", "content_type": 1, "sort": "relevance", "safe_search": 1}
SETTINGS |= {"per_page": PAGE_SIZE, "extras": EXTRAS}
BUSY_CODES = (10, 105, 106)  # search or service "currently unavailable"
NO_KEY = (
    "Flickr needs an API key (new ones go to Flickr Pro members): set FLICKR_API_KEY and FLICKR_API_SECRET in "
    "the environment or in the project's .env file; or use Openverse, which needs none."
)
BAD_KEY = "Check FLICKR_API_KEY and FLICKR_API_SECRET, in the environment or in .env."

for _chatty in ("flickrapi", "oauthlib", "requests_oauthlib"):  # at DEBUG these write the key
    logging.getLogger(_chatty).setLevel(logging.CRITICAL)


def has_key():
    """Whether a Flickr API key is set."""
    return all(_keys())


class Flickr(Service):
    """Search Flickr; `url` and the `Client` settings are for a local server. Raises `ServiceError` where no key is set.

    About 3,600 calls an hour are allowed. The key is read from the environment or .env and shown nowhere.
    """

    name = "Flickr"

    def __init__(self, licences=LICENCES, url=None, call_gap=1.0, photo_gap=0.2, **client):
        if not has_key():
            raise ServiceError(NO_KEY)
        self.licences = tuple(licences)
        self.client = Client(call_gap, photo_gap, **client)
        self._api = _Api(*_keys(), format="parsed-json", store_token=False, timeout=self.client.timeout)
        self._api.flickr_oauth.session = self.client.session
        self._api.REST_URL = url or self._api.REST_URL

    def query(self, word):
        """See `Service`."""
        return f"flickr {','.join(self.licences)} {word}"

    @functools.cached_property
    def licence_urls(self):
        """{id: address} of the wanted licences, as Flickr numbers them today. Raises `ServiceError`."""

        def read(answer):
            urls = {str(licence["id"]): licence.get("url") for licence in answer["licenses"]["license"]}
            return {number: url for number, url in urls.items() if licence_code(url)[0] in self.licences}

        return self._call("photos.licenses.getInfo", read)

    def page(self, word, number):
        """See `Service`. Raises `ServiceError`."""
        licences = self.licence_urls

        def read(answer):
            results, pages = answer["photos"]["photo"], int(answer["photos"]["pages"])
            if not isinstance(results, list):
                raise TypeError
            numbered = [(str(found.get("license")), found) for found in results]
            photos = [_photo(found, licences[licence]) for licence, found in numbered if licence in licences]
            return photos, bool(results) and number < min(pages, DEEPEST // PAGE_SIZE)

        return self._call("photos.search", read, text=word, license=",".join(licences), page=number, **SETTINGS)

    def _call(self, method, read, **params):
        def call():
            try:
                return read(self._api.do_flickr_call(f"flickr.{method}", **params))
            except flickrapi.FlickrError as error:
                failure = Busy if error.code in BUSY_CODES else ServiceError
                reason = _without_keys(f"Flickr says: {error}. {BAD_KEY if error.code == 100 else ''}".strip())
            raise failure(reason)  # outside the except block: nothing of the signed request hangs on

        return self.client.ask(call, self.name)


class _Api(flickrapi.FlickrAPI):
    def __repr__(self):
        return "FlickrAPI"  # the library's own shows the key


def _keys():
    stored = dotenv.dotenv_values(paths.ROOT / ".env")
    return [os.environ.get(name) or stored.get(name) for name in ("FLICKR_API_KEY", "FLICKR_API_SECRET")]


def _without_keys(text):
    for key in filter(None, _keys()):
        text = text.replace(key, "***")
    return text


def _photo(found, licence_url):
    licence = licence_name(*licence_code(licence_url))
    title, creator = one_line(found.get("title")), one_line(found.get("ownername")) or one_line(found.get("owner"))
    page_url = f"https://www.flickr.com/photos/{found.get('owner')}/{found['id']}"
    given = [size for size in SIZES if f"url_{size}" in found]
    sizes = tuple((int(found[f"width_{one}"]), int(found[f"height_{one}"]), found[f"url_{one}"]) for one in given)
    attribution = f'"{title}" by {creator} ({page_url}), {licence} ({licence_url})'
    return Photo(str(found["id"]), title, creator, licence, licence_url, page_url, "flickr", sizes, attribution)
