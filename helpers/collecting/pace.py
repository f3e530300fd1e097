"""How fast a service is asked: its own pace, the pauses it asks for, and longer ones while it refuses."""

import re
import threading
import time

import urllib3

LONGEST_WAIT = 120  # seconds; a service that asks for more is left alone until the next run
FIRST_PAUSE = 16  # seconds after "too many requests" without a time; doubled while that goes on: 6 minutes in 5 pauses
LARGEST_GAP = 10  # seconds
_DAY_QUOTA = re.compile("X-RateLimit-Available-.*sustained", re.IGNORECASE)  # Openverse's: "0" when used up


def asked_wait(error):
    """Seconds an answer asks to wait: from Retry-After; infinite when the day's quota is used up; else None."""
    headers = error.response.headers if getattr(error, "response", None) is not None else {}
    if any(value == "0" for name, value in headers.items() if _DAY_QUOTA.fullmatch(name)):
        return float("inf")
    try:
        return urllib3.Retry().parse_retry_after(headers["Retry-After"]) if "Retry-After" in headers else None
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):  # the year 99999, 5,000 digits
        return None


class Pace:
    """Lets callers, in any thread, through one by one, at least `gap` seconds apart; slower after each refusal."""

    def __init__(self, gap, first_pause):
        self._usual, self._gap, self._first_pause = gap, gap, first_pause
        self._queue, self._lock = threading.Lock(), threading.Lock()
        self._next = self._held = 0.0
        self._refusals, self._refused_at = 0, 0.0

    def wait(self, stopped):
        """Sleep until it is our turn, or the event `stopped` is set; returns the time."""
        with self._queue:  # kept while sleeping: the others queue here
            while (left := max(self._next, self._held) - time.monotonic()) > 0 and not stopped.wait(left):
                pass
            now = time.monotonic()
            self._next = now + self._gap
            return now

    def hold(self, seconds):
        """Let nobody through for so long."""
        with self._lock:
            self._held = max(self._held, time.monotonic() + seconds)

    def refused(self, asked_at):
        """Slow everybody down: a question of `asked_at` was one too many. Those already on the way count once."""
        with self._lock:
            if asked_at < self._refused_at:
                return
            self._refused_at, self._gap = time.monotonic(), min(2 * self._gap, max(LARGEST_GAP, self._usual))
            pause = min(self._first_pause * 2**self._refusals, LONGEST_WAIT)
            self._refusals += 1
        self.hold(pause)

    def answered(self):
        """Go back to the usual pace, little by little."""
        with self._lock:
            self._refusals, self._gap = 0, max(self._usual, 0.95 * self._gap)
