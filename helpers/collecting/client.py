"""A polite and careful web client: asks at a service's own pace, tries again, and refuses what is no public picture."""

import contextlib
import functools
import io
import ipaddress
import socket
import threading
import time

import requests
import tenacity
import urllib3

from helpers.collecting.pace import FIRST_PAUSE, LONGEST_WAIT, Pace, asked_wait
from helpers.collecting.services import ODD, LeftOut, Refused, ServiceError, Unreachable

USER_AGENT = "where-a-network-looks/1.0 (teaching notebooks on Grad-CAM; collects a few hundred photos, once)"
TRIES = 6
LARGEST_FILE, LARGEST_ANSWER = 25 << 20, 4 << 20  # bytes, of a picture and of a page of search results
LONGEST_DOWNLOAD = 90  # seconds for one of either, however steadily it drips
KITCHEN = "Without photos the notebooks use the built-in kitchen."
TOO_MANY = 429  # HTTP status
NOT_LET_IN = (401, 403, 407)  # HTTP statuses of a network's login or block page


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
        self.session.hooks["response"] = _first_look  # at once: flickrapi alone would lose Retry-After
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=32)
        pools = adapter.poolmanager.pool_classes_by_scheme.items()
        careful = {scheme: _careful(pool, allow_private) for scheme, pool in pools}
        adapter.poolmanager.pool_classes_by_scheme = careful
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, adapter)
        self.timeout, self.stopped = timeout, threading.Event()
        pause = FIRST_PAUSE * min(backoff, 1)
        self._call_pace, self._photo_pace = Pace(call_gap, pause), Pace(photo_gap, pause)
        self._backoffs = tenacity.wait_exponential(backoff, max=60) + tenacity.wait_random(0, backoff / 4)

    def ask(self, call, name):
        """What `call()` returns: one question to the service `name`.

        Raises `ServiceError`, also where `call` does not find in the answer what it looks for.
        """
        try:
            return self._paced(self._call_pace, call)
        except (requests.RequestException, Busy, LeftOut, *ODD) as error:
            reason, status = _explanation(error, name), getattr(getattr(error, "response", None), "status_code", None)
        raise ServiceError(reason, status)  # outside the except block: requests' errors carry the signed request

    def download(self, url):
        """The bytes of the picture at `url`. Raises `LeftOut` or `Unreachable`, each with its reason."""

        def call():
            headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
            with self.session.get(url, stream=True, timeout=self.timeout, headers=headers) as response:
                _check_kind(response)
                return _body(response, LARGEST_FILE)

        try:
            return self._paced(self._photo_pace, call)
        except requests.HTTPError as error:
            status = error.response.status_code
            kind = Unreachable if _is_busy(status) or status in NOT_LET_IN else Refused
            raise kind(f"{'gone' if status in (404, 410) else 'refused'}: HTTP {status}") from None
        except LeftOut:
            raise
        except (ValueError, requests.TooManyRedirects) as error:  # requests' errors for bad addresses are ValueErrors
            raise Refused(f"no usable address ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise Unreachable(f"no whole answer ({type(error).__name__})") from None

    def stop(self):
        """End all requests that wait or are on their way; later ones are not affected."""
        self.stopped.set()
        self.stopped = threading.Event()

    def _paced(self, pace, call):
        """What `call()` returns, each try at its turn; the wait an answer asks for holds everybody at this pace."""
        stopped = self.stopped  # as it is now: the next run has another

        def once():
            asked_at = pace.wait(stopped)
            if stopped.is_set():  # the wait was cut short
                raise Unreachable("stopped before it was asked for")
            try:
                result = call()
            except requests.HTTPError as error:
                wait = asked_wait(error) or 0
                if wait:
                    pace.hold(wait if wait <= LONGEST_WAIT else 0)
                elif error.response.status_code == TOO_MANY:
                    pace.refused(asked_at)
                raise
            pace.answered()
            return result

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            reraise=True,
            wait=lambda state: 0 if _holds(state.outcome.exception()) else self._backoffs(state),
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_when_event_set(stopped),
            sleep=tenacity.sleep_using_event(stopped),
        )(once)


def _check_kind(response):
    """Raise `Unreachable` or `Refused` for an answer that is no picture."""
    kind = response.headers.get("Content-Type", "no content type").split(";")[0].strip().lower()
    if kind == "text/html":
        raise Unreachable("no picture: the answer is text/html (a login or block page of the network?)")
    if not kind.startswith("image/"):
        raise Refused(f"no picture: the answer is {kind}")
    if "photo_unavailable" in response.url:
        raise LeftOut('a "photo unavailable" stand-in')


def _body(response, most):
    """The whole answer. Raises `Refused` above `most` bytes, requests' errors where it does not come, or drips."""
    body, ends = io.BytesIO(), time.monotonic() + LONGEST_DOWNLOAD
    try:
        with _in_time(response.raw.shutdown):  # also where trailers drip
            while part := response.raw.read1(1 << 16, decode_content=True):
                body.write(part)
                if body.tell() > most:
                    raise Refused(f"too large: more than {most >> 20} MB")
        if time.monotonic() > ends:
            raise requests.Timeout
    except urllib3.exceptions.HTTPError as error:
        kind = requests.Timeout if time.monotonic() > ends else requests.ConnectionError
        raise kind(type(error).__name__) from None
    return body.getvalue()


def _first_look(response, stream, **_):
    """Raise for refusals; read redirections never, answers in memory with care."""
    if not response.ok:
        response.close()
    response.raise_for_status()
    if response.is_redirect or not stream:
        with contextlib.closing(response.raw):
            response.raw = io.BytesIO(b"" if response.is_redirect else _body(response, LARGEST_ANSWER))


def _is_busy(status):
    return status == TOO_MANY or status >= 500


def _passes(error):
    """Whether the trouble may pass by itself within minutes."""
    if isinstance(error, requests.HTTPError):
        return _is_busy(error.response.status_code) and (asked_wait(error) or 0) <= LONGEST_WAIT
    return isinstance(error, _PASSING) and not _no_network(error)


def _holds(error):
    """Whether an answer slows everybody down, so that its own question waits at the pace."""
    return isinstance(error, requests.HTTPError) and (error.response.status_code == TOO_MANY or bool(asked_wait(error)))


def _no_network(error):
    if isinstance(error, requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _explanation(error, name):
    later = "What is collected stays; run the same again later."
    if isinstance(error, requests.HTTPError):
        status, wait = error.response.status_code, asked_wait(error)
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


def _careful(pool, allow_private):
    """`pool`, a class of connections, that do not wait for ever, and refuse private addresses, on redirects too."""

    class Careful(pool.ConnectionCls):
        def _new_conn(self):
            connection = super()._new_conn()
            address = connection.getpeername()[0].split("%")[0]
            if not (allow_private or is_public(address)):
                connection.close()
                raise Refused(f"refused: {self.host} is the private address {address}")
            return connection

        def getresponse(self):
            with _in_time(functools.partial(self.sock.shutdown, socket.SHUT_RD)):  # also where headers drip
                return super().getresponse()

    return type(f"Careful{pool.__name__}", (pool,), {"ConnectionCls": Careful})


@contextlib.contextmanager
def _in_time(hang_up):
    """Call `hang_up` if this takes longer than a download may."""

    def late():
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # there is no connection any more
            hang_up()

    timer = threading.Timer(LONGEST_DOWNLOAD, late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
