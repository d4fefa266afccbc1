"""Throughput of a closed loop from the clients' own cycles.

A server that works on all requests at once answers them in bunches. How many bunches fall into a window of a
few of their periods is chance, so answers per window would be wrong by one in two or three. A client's cycles
from an answer to an answer have no such edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class _Client:
    """Its first and last answer that count, and what came after the first one up to the last."""

    first: float = math.nan
    last: float = math.nan
    requests: int = 0
    texts: int = 0


class Renewals:
    """Counts each client's answers from the first in the window to the first after it.

    The last one is a stopping time, so that answers over time have no bias (Wald's equation). It is waited
    for, which takes one or two latencies. Times are the event loop's.

    Args:
        clients: How many.
    """

    def __init__(self, clients: int) -> None:
        self._clients = [_Client() for _ in range(clients)]
        self._begin = self._end = math.inf
        self._waiting = clients

    @property
    def complete(self) -> bool:
        """Whether every client has had its last answer."""
        return self._waiting == 0

    def window(self, begin: float, end: float) -> None:
        """Tell the window when it begins."""
        self._begin, self._end = begin, end

    def add(self, client: int, now: float, *, good: bool, texts: int) -> None:
        """Count the end of a request.

        Args:
            client: Whose it was, from 0.
            now: When it ended.
            good: Whether it was answered with 200; a failed one takes its time and is worth nothing.
            texts: How many it held.
        """
        own = self._clients[client]
        if now < self._begin or not math.isnan(own.last):
            return
        if math.isnan(own.first):
            own.first = now
            return
        own.requests += good
        own.texts += texts * good
        if now >= self._end:
            own.last = now
            self._waiting -= 1

    def rates(self) -> tuple[float, float] | None:
        """Return requests and texts per second; None while a client has not had its last answer."""
        if not self.complete:
            return None
        seconds = sum(client.last - client.first for client in self._clients)
        count = len(self._clients)
        return (
            count * sum(client.requests for client in self._clients) / seconds,
            count * sum(client.texts for client in self._clients) / seconds,
        )
