"""A stand-in for Openverse on this machine: the same questions and answers, with pictures from the built-in kitchen.

For trying out the collecting without a key, a network or anybody's photos. Creators and licences are invented.
"""

import io
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image, ImageDraw

from helpers import dishes
from helpers.collecting.openverse import DEEPEST_PAGE, Openverse

LABELS = {"お好み焼き": ("okonomiyaki", 0), "okonomiyaki": ("okonomiyaki", 240)}  # a word's label, and its first photo
LABELS |= {"ピザ": ("pizza", 0), "pizza": ("pizza", 240)}
SIZE = 160  # pixels a side
OFFERED = 600  # photos a word finds
LICENCES = ("by 2.0 licenses", "by-sa 2.0 licenses", "by 4.0 licenses", "cc0 1.0 publicdomain")


def kitchen():
    """An `Openverse` source on loopback that serves drawn dishes of SIZE pixels; it ends with the process.

    As a real service would, it also offers what is no use: re-encoded copies, tiny pictures, "unavailable" cards.
    """
    source = Openverse(url=f"{Server(_Kitchen).url}/v1/images/", call_gap=0, photo_gap=0, allow_private=True)
    source.name = "the practice server"
    return source


class Server(ThreadingHTTPServer):
    """An HTTP server on a free local port, in a thread of its own, until `close` or the end of the process."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        """Silence: a caller that goes away is no error here."""

    def close(self):
        """Stop serving and free the port."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """A request handler that keeps connections open and says nothing."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Silence."""

    def send(self, body, kind="application/json", status=200, headers=None):
        """Send a whole answer; anything but bytes as JSON."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


def openverse_answer(results, params):
    """Openverse's answer for one page of `results`, a list of dicts; params: the question, as a dict of text."""
    page, size = int(params.get("page", 1)), int(params.get("page_size", 20))
    counts = {"result_count": len(results), "page_count": min(-(-len(results) // size), DEEPEST_PAGE)}
    return {**counts, "page_size": size, "page": page, "results": results[(page - 1) * size : page * size]}


class _Kitchen(Handler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/photo/"):
            label, number = path.removeprefix("/photo/").removesuffix(".jpg").rsplit("-", 1)
            self.send(_jpeg(label, int(number)), "image/jpeg")
        else:
            params = dict(urllib.parse.parse_qsl(query))
            label, first = LABELS.get(params.get("q", "").lower(), ("", OFFERED))
            results = [self._result(label, number) for number in range(first, OFFERED)]
            wanted = [one for one in results if one["license"] in params["license"].split(",")]
            self.send(openverse_answer(wanted, params))

    def _result(self, label, number):
        code, version, kind = LICENCES[number % len(LICENCES)].split()
        name, title, cook = f"{label}-{number:04d}", f"{label} {number}, drawn", f"practice cook {number * 7 % 41:02d}"
        licence_url = f"https://creativecommons.org/{kind}/{code.replace('cc0', 'zero')}/{version}/"
        result = {"id": name, "title": title, "creator": cook, "url": f"{self.server.url}/photo/{name}.jpg"}
        result |= {"license": code, "license_version": version, "license_url": licence_url, "source": "drawn"}
        result |= {"foreign_landing_url": f"https://example.org/practice/{name}"}
        return result | {"attribution": f'"{title}" by {cook}: a practice picture, its licence is invented.'}


def _jpeg(label, number):
    """The bytes of a drawn dish; at some numbers of a card, a tiny dish, or the dish before, uploaded again."""
    tiny, again = number % 23 == 17, number % 17 == 9 and number % 23 != 17
    seed = 70_000 + number - again  # no other split uses these
    if number % 19 == 11:
        image, again = Image.new("RGB", (SIZE, SIZE), (228, 228, 228)), False
        text = "This photo is\nno longer available"
        ImageDraw.Draw(image).text((SIZE // 6, SIZE // 2), text, fill=(120, 120, 120))
    else:
        image = Image.fromarray(dishes.render(label, seed, size=SIZE // 2 if tiny else SIZE).image)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60 if again else 92)
    return file.getvalue()
