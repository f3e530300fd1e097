"""Flickr, where the blog's photos came from (blog, section 4.1). Needs an API key; new ones go to Pro members only."""

import functools
import json
import logging
import os

import dotenv
import flickrapi

from helpers import paths
from helpers.collecting.client import Busy, Client
from helpers.collecting.services import (
    LICENCES,
    Photo,
    Service,
    ServiceError,
    integer,
    licence_code,
    licence_name,
    one_line,
    read_records,
    size,
)

PAGE_SIZE = 250
DEEPEST = 4000  # no search shows more different photos; later pages repeat
SIZES = "mzcl"  # Flickr's letters for 500, 640, 800 and 1024 pixels on the longer side
EXTRAS = ",".join(["license", "owner_name", *(f"url_{size}" for size in SIZES)])
SETTINGS = {"media": "photos", "content_type": 1, "sort": "relevance", "safe_search": 1}
SETTINGS |= {"per_page": PAGE_SIZE, "extras": EXTRAS}
BUSY_CODES = ("0", "10", "105", "106", "201")  # search or service "currently not available"
NO_KEY = (
    "Flickr needs an API key (new ones go to Flickr Pro members): set FLICKR_API_KEY and FLICKR_API_SECRET in "
    "the environment or in the project's .env file; or use Openverse, which needs none."
)
BAD_SECRET = "Flickr: HTTP 401, the signature does not fit: check the key and the secret"
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
        self._api = _Api(*_keys(), format="json", store_token=False, timeout=self.client.timeout)
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
            photos = read_records(results, lambda found: _photo(found, licences.get(str(found.get("license")))))
            return photos, number < min(pages, DEEPEST // PAGE_SIZE)

        return self._call("photos.search", read, text=word, license=",".join(licences), page=number, **SETTINGS)

    def _call(self, method, read, **params):
        def call():
            answer = json.loads(self._api.do_flickr_call(f"flickr.{method}", **params), parse_int=integer)
            if answer.get("stat") != "fail":
                return read(answer)
            code, failure = str(answer["code"]), f"Error: {answer['code']}: {answer['message']}"
            reason = _without_keys(f"Flickr says: {failure}. {BAD_KEY if code == '100' else ''}".strip())
            raise (Busy if code in BUSY_CODES else ServiceError)(reason)

        try:
            return self.client.ask(call, self.name)
        except flickrapi.exceptions.FlickrError as error:  # an odd status, such as 203
            raise ServiceError(_without_keys(f"Flickr: {error}")) from None
        except ServiceError as error:
            raise ServiceError(f"{BAD_SECRET}. {BAD_KEY}", 401) if error.status == 401 else error from None


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
    """A `Photo`, or None where its licence is not wanted."""
    if not licence_url:
        return None
    licence = licence_name(*licence_code(licence_url))
    title, owner = one_line(found.get("title")), one_line(found.get("owner"))
    creator, number = one_line(found.get("ownername")) or owner, one_line(found["id"])
    page_url = f"https://www.flickr.com/photos/{owner}/{number}"
    given = [one for one in SIZES if found.get(f"url_{one}")]
    sizes = tuple(size(found.get(f"width_{one}"), found.get(f"height_{one}"), found[f"url_{one}"]) for one in given)
    attribution = f'"{title}" by {creator} ({page_url}), {licence} ({licence_url})'
    return Photo(number, title, creator, licence, licence_url, page_url, "flickr", sizes, attribution)
