"""A polite and careful web client: asks at a service's own pace, tries again, and refuses what is no public picture."""

import ipaddress
import re
import threading
import time

import requests
import tenacity
import urllib3

from helpers.collecting.services import LeftOut, ServiceError, Unreachable

USER_AGENT = "where-a-network-looks/1.0 (teaching notebooks on Grad-CAM; collects a few hundred photos, once)"
TRIES = 6
LONGEST_WAIT = 120  # seconds; a service that asks for more is left alone until the next run
LARGEST_FILE = 25 << 20  # bytes
LONGEST_DOWNLOAD = 90  # seconds for one photo, however steadily it drips
KITCHEN = "Without photos the notebooks use the built-in kitchen."
NOT_LET_IN = (401, 403, 407)  # HTTP statuses of a network's login or block page
_ODD = (AttributeError, KeyError, TypeError, ValueError)  # what reading another answer than expected raises
_DAY_QUOTA = re.compile("X-RateLimit-Available-.*sustained", re.IGNORECASE)  # Openverse's: "0" when used up


class Busy(Exception):
    """The service says that it is out of order for the moment."""


_PASSING = (Busy, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class Client:
    """Asks a service at its own pace, tries again where that is sensible, and downloads with care.

    call_gap, photo_gap: least seconds between two calls and two downloads; backoff: seconds before the second try,
    doubled after each (a `Retry-After` goes first); timeout: (connect, read) in seconds; allow_private: also talk to
    loopback and private addresses (the practice server). Through a proxy, the proxy decides what can be reached.
    """

    def __init__(self, call_gap, photo_gap, backoff=1.0, timeout=(6, 30), allow_private=False):
        self.session = requests.Session()
        self.session.headers["User-Agent"] = USER_AGENT
        self.session.max_redirects = 5
        self.session.trust_env = not allow_private  # no proxy stands between us and loopback
        self.session.hooks["response"] = _raise_for_status  # at once: flickrapi alone would lose Retry-After
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=32)
        if not allow_private:
            pools = adapter.poolmanager.pool_classes_by_scheme.items()
            adapter.poolmanager.pool_classes_by_scheme = {scheme: _public(pool) for scheme, pool in pools}
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, adapter)
        self.timeout, self.stopped = timeout, threading.Event()
        self._call_pace, self._photo_pace = Pace(call_gap), Pace(photo_gap)
        backoffs = tenacity.wait_exponential(backoff, max=60) + tenacity.wait_random(0, backoff / 4)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            reraise=True,
            wait=lambda state: _asked_wait(state.outcome.exception()) or backoffs(state),
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_when_event_set(self.stopped),
            sleep=tenacity.sleep_using_event(self.stopped),
        )

    def ask(self, call, name):
        """What `call()` returns: one question to the service `name`.

        Raises `ServiceError`, also where `call` does not find in the answer what it looks for.
        """
        try:
            return self._paced(self._call_pace, call)
        except (requests.RequestException, Busy, LeftOut, *_ODD) as error:
            reason, status = _explanation(error, name), getattr(getattr(error, "response", None), "status_code", None)
        raise ServiceError(reason, status)  # outside the except block: requests' errors carry the signed request

    def download(self, url):
        """The bytes of the picture at `url`. Raises `LeftOut` or `Unreachable`, each with its reason."""

        def call():
            headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
            with self.session.get(url, stream=True, timeout=self.timeout, headers=headers) as response:
                return _body(response)

        try:
            return self._paced(self._photo_pace, call)
        except requests.HTTPError as error:
            status = error.response.status_code
            kind = Unreachable if _is_busy(status) or status in NOT_LET_IN else LeftOut
            raise kind(f"{'gone' if status in (404, 410) else 'refused'}: HTTP {status}") from None
        except (ValueError, requests.TooManyRedirects) as error:  # requests' errors for bad addresses are ValueErrors
            reason = str(error) if isinstance(error, LeftOut) else f"no usable address ({type(error).__name__})"
            raise LeftOut(reason) from None
        except requests.RequestException as error:
            raise Unreachable(f"no whole answer ({type(error).__name__})") from None

    def _paced(self, pace, call):
        """What `call()` returns, each try at its turn; the wait an answer asks for holds everybody at this pace."""

        def once():
            pace.wait(self.stopped)
            if self.stopped.is_set():  # the wait was cut short
                raise Unreachable("stopped before it was asked for")
            try:
                return call()
            except requests.HTTPError as error:
                asked = _asked_wait(error) or 0
                pace.hold(asked if asked <= LONGEST_WAIT else 0)
                raise

        return self._retrying(once)


class Pace:
    """Lets callers, in any thread, through one by one, at least `gap` seconds apart."""

    def __init__(self, gap):
        self._gap, self._lock, self._next, self._held = gap, threading.Lock(), 0.0, 0.0

    def wait(self, stopped):
        """Sleep until it is our turn, or the event `stopped` is set."""
        with self._lock:  # kept while sleeping: the others queue here
            while (left := max(self._next, self._held) - time.monotonic()) > 0 and not stopped.wait(left):
                pass
            self._next = time.monotonic() + self._gap

    def hold(self, seconds):
        """Let nobody through for so long."""
        self._held = max(self._held, time.monotonic() + seconds)


def _body(response):
    kind = response.headers.get("Content-Type", "no content type").split(";")[0].strip().lower()
    if kind == "text/html":
        raise Unreachable("no picture: the answer is text/html (a login or block page of the network?)")
    if not kind.startswith("image/"):
        raise LeftOut(f"no picture: the answer is {kind}")
    if "photo_unavailable" in response.url:
        raise LeftOut('a "photo unavailable" stand-in')
    data, ends = bytearray(), time.monotonic() + LONGEST_DOWNLOAD
    for part in response.iter_content(1 << 16):
        data += part
        if len(data) > LARGEST_FILE:
            raise LeftOut(f"too large: more than {LARGEST_FILE >> 20} MB")
        if time.monotonic() > ends:
            raise requests.Timeout
    return bytes(data)


def _raise_for_status(response, **_):
    if not response.ok:
        response.close()
    response.raise_for_status()


def _is_busy(status):
    return status == 429 or status >= 500


def _asked_wait(error):
    """Seconds the answer asks to wait: from Retry-After; infinite when the day's quota is used up; else None."""
    headers = error.response.headers if getattr(error, "response", None) is not None else {}
    if any(value == "0" for name, value in headers.items() if _DAY_QUOTA.fullmatch(name)):
        return float("inf")
    try:
        return urllib3.Retry().parse_retry_after(headers["Retry-After"]) if "Retry-After" in headers else None
    except urllib3.exceptions.InvalidHeader:
        return None


def _passes(error):
    """Whether the trouble may pass by itself within minutes."""
    if isinstance(error, requests.HTTPError):
        return _is_busy(error.response.status_code) and (_asked_wait(error) or 0) <= LONGEST_WAIT
    return isinstance(error, _PASSING) and not _no_network(error)


def _no_network(error):
    if isinstance(error, requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _explanation(error, name):
    later = "What is collected stays; run the same again later."
    if isinstance(error, requests.HTTPError):
        status, wait = error.response.status_code, _asked_wait(error)
        if wait == float("inf"):
            return f"{name}: today's number of questions is used up. {later}"
        return f"{name}: HTTP {status}{f', asks to wait {wait:.0f} s' if wait else ''}. {later}"
    if _no_network(error):
        return f"{name} cannot be reached: connect to the network and run the same again. {KITCHEN}"
    if isinstance(error, (Busy, LeftOut)):
        return f"{name}: {error}. {later}"
    if isinstance(error, requests.JSONDecodeError) or not isinstance(error, requests.RequestException):
        return f"{name}: the answer is no JSON, or another than expected (a login page of the network?). {later}"
    return f"{name}: {type(error).__name__} {TRIES} times over: look at the network, then run the same again. {KITCHEN}"


def is_public(address):
    """Whether an IP address, as text, is one of the public internet."""
    address = ipaddress.ip_address(address)
    return (getattr(address, "ipv4_mapped", None) or address).is_global


def _public(pool):
    """`pool`, a class of connections, that refuses private addresses: connection by connection, so on redirects too."""

    class Public(pool.ConnectionCls):
        def _new_conn(self):
            connection = super()._new_conn()
            address = connection.getpeername()[0].split("%")[0]
            if not is_public(address):
                connection.close()
                raise LeftOut(f"refused: {self.host} is the private address {address}")
            return connection

    return type(f"Public{pool.__name__}", (pool,), {"ConnectionCls": Public})
