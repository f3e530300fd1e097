"""Flickr and Openverse on loopback, speaking their documented formats, with every fault a network can have."""

import collections
import contextlib
import functools
import io
import itertools
import socket
import threading
import time
import urllib.parse

import numpy as np
from PIL import Image
from tqdm import tqdm

from helpers.collecting import collect
from helpers.collecting.flickr import Flickr
from helpers.collecting.openverse import Openverse
from helpers.collecting.practice import Handler, Server, openverse_answer

KEY, SECRET = "0123456789abcdef0123456789abcdef", "fedcba9876543210"
KEYS = {"FLICKR_API_KEY": KEY, "FLICKR_API_SECRET": SECRET}  # for the environment
FLICKR_LICENCES = [
    {"id": "0", "name": "All Rights Reserved", "url": ""},
    {"id": "1", "name": "CC BY-NC-SA 2.0", "url": "https://creativecommons.org/licenses/by-nc-sa/2.0/"},
    {"id": "4", "name": "CC BY 2.0", "url": "https://creativecommons.org/licenses/by/2.0/"},
    {"id": "5", "name": "CC BY-SA 2.0", "url": "https://creativecommons.org/licenses/by-sa/2.0/"},
    {"id": "7", "name": "No known copyright restrictions", "url": "https://www.flickr.com/commons/usage/"},
    {"id": "9", "name": "Public Domain Dedication (CC0)", "url": "https://creativecommons.org/publicdomain/zero/1.0/"},
    {"id": "10", "name": "Public Domain Mark", "url": "https://creativecommons.org/publicdomain/mark/1.0/"},
    {"id": "11", "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
]
CREATORS = ["kosabe", "*tomoth", "matsudon,giraffe", "柏翰 / ポーハン / POHAN", 'the "🍕" chef\n', "  spaced  out  "]
QUICK = {"call_gap": 0, "photo_gap": 0, "backoff": 0.01, "allow_private": True}


def ids(count, start=1000):
    """So many photo ids, one after the other."""
    return [str(start + number) for number in range(count)]


@functools.cache
def jpeg(seed, width=420, height=360):
    """A colourful picture of its own for each seed, as JPEG bytes."""
    blobs = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return encoded(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC), quality=85)


def encoded(image, kind="JPEG", **settings):
    """The bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


class FakeServices(Server):
    """Both services for `photos`, a list of ids.

    pictures: {id: bytes}, default `jpeg(n)`; faults: {path or photo id: iterable of functions of the handler}, one
    taken for each request until they are used up; requests: Counter of what was asked; log: (time, what, headers).
    openverse, flickr: make a source that asks here, without pauses.
    """

    def __init__(self, photos):
        self.photos, self.pictures, self.delay = photos, {}, 0.0
        self.faults, self.requests, self.log = {}, collections.Counter(), []
        self.flickr_pages = lambda found, page, per_page: found[(page - 1) * per_page : page * per_page]
        self.found = lambda word: self.photos
        self.changed = lambda number, result: result  # what the services tell of photo `number`
        super().__init__(_Answers)
        self.openverse_url = f"{self.url}/v1/images/"
        self.openverse = functools.partial(Openverse, url=self.openverse_url, **QUICK)
        self.flickr = functools.partial(Flickr, url=f"{self.url}/services/rest/", **QUICK)


class _Answers(Handler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/v1/images/"):
            self._answer("openverse", self._openverse, dict(urllib.parse.parse_qsl(query)))
        else:
            photo_id = path.split("/")[-1].rsplit(".", 1)[0].split("_")[0]
            self._answer(f"photo {photo_id}", self._photo, photo_id)

    def do_POST(self):
        params = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self._answer(params["method"], self._flickr, params)

    def _answer(self, what, answer, params):
        fake = self.server
        fake.requests[what] += 1
        fake.log.append((time.monotonic(), what, dict(self.headers), params))
        time.sleep(fake.delay if what.startswith("photo ") else 0)
        fault = next(fake.faults.setdefault(what.removeprefix("photo "), iter(())), None)
        if fault:
            fault(self)
        else:
            answer(params)

    def _photo(self, photo_id):
        picture = self.server.pictures.get(photo_id) or jpeg(self.server.photos.index(photo_id))
        self.send(picture, "image/jpeg")

    def _openverse(self, params):
        if int(params["page_size"]) > 20:
            return self.send({"detail": "page_size too large for anonymous"}, status=401)
        if int(params["page"]) * int(params["page_size"]) > 240:
            return self.send({"detail": "pagination depth may not exceed 240 for anonymous requests"}, status=401)
        answer = openverse_answer(self.server.found(params["q"]), params)
        return self.send({**answer, "results": [self._openverse_result(photo_id) for photo_id in answer["results"]]})

    def _openverse_result(self, photo_id):
        number = self.server.photos.index(photo_id)
        page_url, cc_by = f"https://www.flickr.com/photos/x/{photo_id}", FLICKR_LICENCES[2]["url"]
        result = {"id": photo_id, "url": f"{self.server.url}/{photo_id}.jpg", "foreign_landing_url": page_url}
        result |= {"license": "by", "license_version": "2.0", "license_url": cc_by, "attribution": "as given"}
        result |= {"source": "flickr", "category": "photograph"}
        facts = {"title": f"お好み焼き {number}", "creator": CREATORS[number % len(CREATORS)]}
        facts |= {"width": 420, "height": 360}
        result |= dict.fromkeys(facts) if number % 5 == 4 else facts  # any of these can be null
        return self.server.changed(number, result)

    def _flickr(self, params):
        if f'oauth_consumer_key="{KEY}"' not in self.headers["Authorization"]:
            return self.send({"stat": "fail", "code": 100, "message": f"Invalid API Key ({KEY} has invalid format)"})
        if params["method"] == "flickr.photos.licenses.getInfo":
            return self.send({"licenses": {"license": FLICKR_LICENCES}, "stat": "ok"})
        page, per_page = int(params["page"]), int(params["per_page"])
        found = self.server.found(params["text"])
        shown = self.server.flickr_pages(found, page, per_page)
        photos = [self._flickr_photo(photo_id) for photo_id in shown]
        facts = {"page": page, "pages": -(-len(found) // per_page), "perpage": per_page, "total": str(len(found))}
        return self.send({"stat": "ok", "photos": {**facts, "photo": photos}})

    def _flickr_photo(self, photo_id):
        number = self.server.photos.index(photo_id)
        photo = {"id": photo_id, "owner": "1234@N00", "secret": "s", "server": "1", "license": "4"}
        photo |= {"title": f"ピザ {number}", "ownername": CREATORS[number % len(CREATORS)]}
        for size, width, height in (("m", 280, 240), ("z", 420, 360), ("l", 1024, 878)):
            url = f"{self.server.url}/{photo_id}_{size}.jpg"
            photo |= {f"url_{size}": url, f"width_{size}": width, f"height_{size}": str(height)}  # sometimes as text
        return self.server.changed(number, photo)


def fault(act):
    """`act(handler, ...)` as a maker of faults: called with the rest, it gives a function of the handler."""
    return lambda *given, **named: lambda handler: act(handler, *given, **named)


@fault
def answer(handler, body, kind="image/jpeg", code=200, **headers):
    """Answer with this body; headers with _ for -."""
    handler.send(body, kind, code, {name.replace("_", "-"): value for name, value in headers.items()})


@fault
def hang(handler, seconds):
    """Say nothing for a while, then close."""
    time.sleep(seconds)
    handler.close_connection = True


@fault
def cut(handler, body, sent):
    """Promise the whole body, send a part of it and reset the connection."""
    handler.send(body[:sent], "image/jpeg", headers={"Content-Length": len(body)})
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.close_connection = True


@fault
def pour(handler, pause, part=bytes(1 << 16), kind="image/jpeg", **headers):
    """Send a part of 64 KB or another again and again, with a pause after each, until the caller goes away."""
    handler.send_response(200)
    for name, value in {"Content-Type": kind, **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.close_connection = True
    with contextlib.suppress(OSError):
        for _ in range(int(30 / pause) if pause else 10**6):
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(pause)


@fault
def drip(handler, begin, part, pause=0.02):
    """Write `begin` as it is, then a part of it again and again, until the caller goes away."""
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.wfile.write(begin)
        for _ in range(int(30 / pause)):
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(pause)


def fails(code, message):
    """What Flickr says when it cannot answer."""
    return json_answer({"stat": "fail", "code": code, "message": message})


json_answer = functools.partial(answer, kind="application/json")
status = functools.partial(answer, b"out of order", "text/plain")  # of a code, and with headers
always = itertools.repeat  # the same fault for ever


def redirect(url):
    """Send the caller elsewhere."""
    return status(302, Location=url)


def collect_once(url, folder, count, started):
    """One life of a collecting process, for the tests that kill it; `started` is a pipe's end."""
    source = Openverse(url=url, **QUICK)
    tqdm.set_lock(threading.RLock())  # its own, between processes, outlives a killed one
    started.send(True)
    collect(source, "okonomiyaki", ["お好み焼き", "okonomiyaki"], count, folder)
