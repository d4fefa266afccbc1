"""The requests of the measurements: texts that nobody sent before, a fixed set again and again, sentences."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

from bench.load.generator import closed_loop, open_loop
from bench.load.messages import make_messages, read_messages
from bench.load.request import Request
from bench.load.texts import FIRST_WORD, distinct, in_bench_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.load.open_loop import Arrivals
    from bench.load.result import Load
    from bench.service.bench import Bench
    from bench.service.servers import Server

PREFIX = "/project"
FIXED_TEXTS = 100
POOL = 1_000
MOST_REQUESTS_PER_S = 15_000
MOST_TOKENS_PER_S = 400_000
"""More than a service on a few cores answers: so many texts are made for a closed loop."""

REPEATS_PER_S = 20_000
WARMUP_SHARE = 0.2
FILL_CLIENTS, FILLED, MOST_FILLS = 16, 3, 100
"""A cache is full when so many passes found everything, each over so many new connections."""

WORD = re.compile(r"w(\d+)")


class LostRequestsError(Exception):
    """A closed loop had requests that were not answered with 200: its numbers mean nothing."""


class Traffic:
    """Makes the texts of one measurement, none of them twice, and sends them."""

    def __init__(self, bench: Bench) -> None:
        """Nothing is made yet."""
        self._vocabulary = bench.size.vocabulary
        self._seconds = bench.seconds
        self._seeds = itertools.count()
        self._file = bench.texts
        self._pool: list[str] = []
        self._seen: set[str] = set()
        self._shift = self._place = 0

    def texts(self, tokens: int | tuple[int, int], count: int) -> list[str]:
        """Return so many texts of so many tokens, special ones included, that no other call returns."""
        span = (tokens, tokens) if isinstance(tokens, int) else tokens
        seed = f"service {next(self._seeds)}"
        return distinct(count, tokens=span, seed=seed, vocabulary=self._vocabulary)

    def repeats(self, tokens: int) -> list[Request]:
        """Return the requests of a fixed set."""
        return [single_request(text) for text in self.texts(tokens, FIXED_TEXTS)]

    def sentences(self, count: int) -> list[str]:
        """Return real sentences in the model's words, which no other call returns.

        They come from a pool in turn. Each time around every word is replaced by the one so many places on in
        the vocabulary, so that the texts are others, and as long as before.

        Raises:
            ValueError: The vocabulary is too small for so many.
        """
        if not self._pool:
            self._pool = self._make_pool()
        fresh: list[str] = []
        while len(fresh) < count:
            if self._place == len(self._pool):
                self._place, self._shift = 0, self._shift + 1
            if self._shift == self._vocabulary - FIRST_WORD:
                raise ValueError(f"{len(self._pool)} sentences do not make so many texts")
            text = shifted(self._pool[self._place], self._shift, vocabulary=self._vocabulary)
            self._place += 1
            if text not in self._seen:
                self._seen.add(text)
                fresh.append(text)
        return fresh

    def _make_pool(self) -> list[str]:
        """Return the first different sentences of the file, or of the generator."""
        found = read_messages(self._file) if self._file else make_messages(2 * POOL, seed="service")
        words = (in_bench_words(sentence, vocabulary=self._vocabulary) for sentence in found)
        return [text for text in dict.fromkeys(words) if text][:POOL]

    def fill(self, server: Server, repeats: Sequence[Request]) -> None:
        """Send a fixed set until the caches of all workers hold it, which new connections come to.

        Raises:
            LostRequestsError: Not all were answered with 200, or texts go on being computed.
        """
        passes = 0
        for _ in range(MOST_FILLS):
            load = all_answered(closed_loop(server.port, repeats, clients=FILL_CLIENTS, seconds=None))
            passes = passes + 1 if load.hits == len(repeats) else 0
            if passes == FILLED:
                return
        raise LostRequestsError(f"{server.name} does not keep {len(repeats)} texts in its cache")

    def closed(
        self, server: Server, repeats: Sequence[Request], *, clients: int, seconds: float | None = None
    ) -> Load:
        """Send a fixed set again and again from so many clients.

        Raises:
            LostRequestsError: Not all were answered with 200.
        """
        seconds = seconds or self._seconds
        requests = itertools.islice(itertools.cycle(repeats), round(REPEATS_PER_S * seconds) + 1000)
        return all_answered(
            closed_loop(server.port, requests, clients=clients, seconds=seconds, pid=server.pid)
        )

    def distinct_load(
        self, server: Server, *, tokens: int, clients: int, seconds: float | None = None
    ) -> Load:
        """Send texts that nobody sent before from so many clients, after a warm-up that does not count.

        Raises:
            LostRequestsError: Not all were answered with 200.
        """
        seconds = seconds or self._seconds
        warmup = WARMUP_SHARE * seconds
        rate = min(MOST_REQUESTS_PER_S, MOST_TOKENS_PER_S / tokens)
        texts = self.texts(tokens, round((seconds + warmup) * rate) + 10 * clients)
        return all_answered(
            closed_loop(
                server.port,
                map(single_request, texts),
                clients=clients,
                seconds=seconds,
                warmup_s=warmup,
                pid=server.pid,
            )
        )

    def open_load(
        self,
        server: Server,
        *,
        tokens: int | tuple[int, int],
        rate: float,
        seconds: float,
        arrivals: Arrivals = "even",
    ) -> Load:
        """Send texts that nobody sent before at a fixed rate, whether or not they are answered."""
        requests = map(single_request, self.texts(tokens, round(rate * seconds)))
        return open_loop(server.port, requests, rate=rate, seconds=seconds, pid=server.pid, arrivals=arrivals)


def single_request(text: str) -> Request:
    """Return the request for one text."""
    return Request(f"{PREFIX}/predict", json.dumps({"text": text}).encode())


def bulk_request(texts: Sequence[str]) -> Request:
    """Return one request for many texts."""
    return Request(f"{PREFIX}/bulk-predict", json.dumps({"text": texts}).encode(), texts=len(texts))


def shifted(text: str, places: int, *, vocabulary: int) -> str:
    """Return the text with each word replaced by the one so many places further on, from the end around."""
    words = vocabulary - FIRST_WORD
    return WORD.sub(lambda word: f"w{FIRST_WORD + (int(word[1]) - FIRST_WORD + places) % words}", text)


def all_answered(load: Load) -> Load:
    """Return the load as it is.

    Raises:
        LostRequestsError: Not all of its requests were answered with 200, or there were none.
    """
    if load.failed or not load.completed:
        raise LostRequestsError(
            f"{load.failed} requests failed: statuses {load.statuses}, no answer {load.failures}"
        )
    return load
