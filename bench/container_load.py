"""The worst that may be asked of one container: a full cache, the largest bulk request, the longest texts."""

from __future__ import annotations

import collections
import http.client
import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from scripts.measure import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREFIX = "/project"
CACHE_ENTRIES = 50_000
BULK_TEXTS = 10_000
BULK_BYTES = 4 * 1024 * 1024
LONG_WORDS, LONG_TEXTS, LONG_REQUESTS, CLIENTS = 600, 8, 6, 8
PROBE_EVERY_S = 0.5
_numbers = itertools.count()


def healthy(port: int) -> bool:
    """Whether readiness says yes."""
    try:
        return _ask(port, "GET", "/health") == http.client.OK
    except (OSError, http.client.HTTPException):
        return False  # the port is forwarded before anything listens behind it


def fill_cache(port: int) -> dict[int, int]:
    """Send as many different texts of a few words as the cache in the process holds."""
    bulks = (
        [f"{WORDS[number % len(WORDS)]} {next(_numbers)}" for number in range(BULK_TEXTS)]
        for _ in range(CACHE_ENTRIES // BULK_TEXTS)
    )
    return _count(_ask(port, "POST", "/bulk-predict", texts) for texts in bulks)


def largest_bulk(port: int) -> dict[int, int]:
    """Send the most texts in the largest body: 18 words each, and a filler that no vocabulary has."""
    texts = [_text(18) for _ in range(BULK_TEXTS)]
    room = BULK_BYTES - len(json.dumps({"text": texts}))
    texts = [f"{text} {'x' * (room // BULK_TEXTS - 1)}" for text in texts]
    return _count([_ask(port, "POST", "/bulk-predict", texts)])


def longest_texts(port: int) -> dict[int, int]:
    """Send texts beyond 512 tokens from several clients at once: every batch is full of the longest."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return _count(
            clients.map(lambda _: _ask(port, "POST", "/bulk-predict", _long()), range(LONG_REQUESTS * 2))
        )


def all_at_once(port: int) -> dict[int, int]:
    """Send the largest bulk request and the longest texts at one time."""
    with ThreadPoolExecutor(2) as both:
        results = [both.submit(what, port) for what in (largest_bulk, longest_texts)]
        return dict(sum((collections.Counter(result.result()) for result in results), collections.Counter()))


STAGES: dict[str, Callable[[int], dict[int, int]]] = {
    f"{CACHE_ENTRIES:,} texts in the cache": fill_cache,
    "full batches of 512 tokens": longest_texts,
    "the largest bulk request": largest_bulk,
    "both at once": all_at_once,
}
"""What is sent, one after another; each adds to what the ones before it left in memory."""


class Probes:
    """Asks as the kubelet does, a connection each time, until the block ends.

    Attributes:
        slowest_s: The longest that one took.
        failed: How many were answered with another status than 200, or not at all.
    """

    def __init__(self, port: int) -> None:
        """Nothing is asked yet."""
        self.slowest_s = 0.0
        self.failed = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        for path in itertools.cycle(("/health", "/health/live")):
            if self._stop.wait(PROBE_EVERY_S):
                return
            started = time.perf_counter()
            try:
                self.failed += _ask(self._port, "GET", path) != http.client.OK
            except (OSError, http.client.HTTPException):
                self.failed += 1
            self.slowest_s = max(self.slowest_s, time.perf_counter() - started)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _text(words: int) -> str:
    """Return a text that no other call returns."""
    number = next(_numbers)
    chosen = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(words - 1)]
    return " ".join([*chosen, str(number)])


def _long() -> list[str]:
    return [_text(LONG_WORDS) for _ in range(LONG_TEXTS)]


def _ask(port: int, method: str, path: str, texts: list[str] | None = None) -> int:
    """Send one request over a connection of its own and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2000)
    try:
        body = None if texts is None else json.dumps({"text": texts})
        connection.request(method, PREFIX + path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _count(statuses: Iterable[int]) -> dict[int, int]:
    return dict(collections.Counter(statuses))
