"""The books of one window: which requests belong to it, and what it cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.load.result import OK, Load
from bench.load.usage import cpu_s

if TYPE_CHECKING:
    from bench.load.answer import Answer


class Recorder:
    """Counts what falls into the window between `start` and `stop`; times are the event loop's.

    Args:
        server: Process whose CPU time is taken, too, with its descendants.

    Attributes:
        load: What was counted so far.
    """

    def __init__(self, server: int | None) -> None:
        self.load = Load()
        self._server = server
        self._begin = float("inf")
        self._end = float("inf")
        self._client_cpu_s = 0.0
        self._server_cpu_s: float | None = None

    def start(self) -> float:
        """Begin the window; return when that was."""
        self._server_cpu_s = self._cpu_s()
        self._client_cpu_s = time.process_time()
        self._begin = time.monotonic()
        return self._begin

    def stop(self) -> None:
        """End the window; requests of it that are still under way may be added later."""
        self._end = time.monotonic()
        self.load.client_cpu_s = time.process_time() - self._client_cpu_s
        if self._server_cpu_s is not None and (now := self._cpu_s()) is not None:
            self.load.server_cpu_s = now - self._server_cpu_s
        self.load.seconds = self._end - self._begin

    def add(self, outcome: Answer | str, *, since: float, now: float, texts: int) -> None:
        """Count one request.

        Args:
            outcome: The response, or why there is none.
            since: When it was sent or due.
            now: When it ended.
            texts: How many it held.
        """
        load = self.load
        good = not isinstance(outcome, str) and outcome.status == OK
        if good and self._begin <= now <= self._end:
            load.completed += 1
            load.texts += texts
        if not self._begin <= since <= self._end:
            return
        if isinstance(outcome, str):
            load.failures[outcome] = load.failures.get(outcome, 0) + 1
            return
        load.statuses[outcome.status] = load.statuses.get(outcome.status, 0) + 1
        if good:
            load.latencies_s.append(now - since)
        if outcome.cache:
            hits, misses, coalesced = outcome.cache
            load.hits += hits
            load.misses += misses
            load.coalesced += coalesced

    def _cpu_s(self) -> float | None:
        try:
            return None if self._server is None else cpu_s(self._server)
        except ProcessLookupError:
            return None  # it has ended; what failed because of it is counted

    def dropped(self) -> None:
        """Count a request that was due and could not be sent."""
        self.load.dropped += 1

    def late(self, seconds: float) -> None:
        """Note by how much the generator itself sent a request too late."""
        self.load.lateness_s.append(seconds)
