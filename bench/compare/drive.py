"""One contestant in one round: warmed, then measured at one point after another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.compare.points import BULK, DISTINCT, LENGTHS, MANY, OPEN, REPEATS, REPEATS_96, TOKENS
from bench.compare.window import Window, summed_up
from bench.load.generator import LoadError, closed_loop, open_loop
from bench.load.texts import requests
from bench.load.usage import memory_mb, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.compare.material import Material
    from bench.compare.points import Point
    from bench.load.request import Request
    from bench.load.result import Load
    from bench.peers.peer import Peer
    from bench.peers.server import RunningServer

WARM_UP_TEXTS = 2 * MANY
WARMUP_S = 1.0
LENGTHS_SHARE = 0.5
"""With one client and texts of one length a shorter window tells as much."""

NEVER_SENT_BEFORE = frozenset({DISTINCT, OPEN, LENGTHS})
"""Workloads of which no text may come from a cache."""

BULK_TIMEOUT_S = 600.0
BULK_WINDOWS = 3.5
"""One by one, a slow server gets as many of the texts as it answers in about so many windows."""


class Drive:
    """Loads one running server.

    Args:
        peer: What it is.
        server: Where it is.
        material: The round's texts.
        number: Of the round.
        seconds: Length of a window.
    """

    def __init__(
        self, peer: Peer, server: RunningServer, material: Material, *, number: int, seconds: float
    ) -> None:
        self._peer = peer
        self._server = server
        self._material = material
        self._number = number
        self._seconds = seconds
        self._filled = False
        self._saturated_at: float | None = None
        self._texts_per_s = 0.0  # of distinct texts from many clients, once that is known

    def warm_up(self) -> None:
        """Send texts of every length, then many at once; none of them is measured.

        Raises:
            LoadError: Nothing listens any more.
        """
        texts = self._material.warm_up(TOKENS, WARM_UP_TEXTS)
        self._until_answered(texts[: len(TOKENS)], clients=1)
        load = self._until_answered(texts[len(TOKENS) :], clients=MANY)
        self._texts_per_s = load.texts_per_s

    def measure(self, point: Point, *, failed: Callable[[Point, str], None]) -> Window | None:
        """Measure at one point.

        Args:
            point: After a rate that was too much, higher ones are left out.
            failed: Told with the reason when nothing could be measured.

        Returns:
            What was measured, or None.

        Raises:
            ProcessLookupError: The server has ended.
        """
        if self._saturated_at is not None and point.rate > self._saturated_at:
            return None
        try:
            load = self._load(point)
        except LoadError as error:
            failed(point, str(error))
            processes(self._server.pid)  # if it has ended, so has this round
            return None
        if point.workload in NEVER_SENT_BEFORE and load.hits:
            failed(point, f"{load.hits} of {load.texts} texts that were never sent before came from a cache")
            return None
        window = summed_up(load, contestant=self._peer.name, number=self._number, point=point)
        _say(window)
        if point.workload == DISTINCT and point.clients == MANY:
            self._texts_per_s = load.texts_per_s
        if point.workload == OPEN and not window.keeps_up:
            self._saturated_at = point.rate
        return window

    def memory_mb(self) -> float:
        """Return the memory of the server's processes now, in MB (10^6 bytes)."""
        return memory_mb(self._server.pid)

    def _load(self, point: Point) -> Load:
        if point.workload == BULK:
            return self._bulk(self._material.texts(point, seconds=0))
        if point.workload in {REPEATS, REPEATS_96} and not self._filled:
            self._until_answered(self._material.fixed(), clients=8)
            self._filled = True
        seconds = self._seconds * (LENGTHS_SHARE if point.workload == LENGTHS else 1)
        if point.rate:
            load = self._requests(self._material.texts(point, seconds=seconds))
            return open_loop(
                self._server.port,
                load,
                rate=point.rate,
                seconds=seconds,
                pid=self._server.pid,
                arrivals="poisson",
                seed=self._number,
            )
        warmup_s = min(WARMUP_S, seconds / 4)
        return closed_loop(
            self._server.port,
            self._requests(self._material.texts(point, seconds=seconds + warmup_s)),
            clients=point.clients,
            seconds=seconds,
            warmup_s=warmup_s,
            pid=self._server.pid,
        )

    def _bulk(self, texts: Sequence[str]) -> Load:
        if self._peer.bulk is None:
            enough = max(2 * MANY, round(BULK_WINDOWS * self._seconds * self._texts_per_s))
            return self._until_answered(texts[:enough], clients=MANY)
        return closed_loop(
            self._server.port,
            [self._peer.bulk(texts)],
            clients=1,
            seconds=None,
            pid=self._server.pid,
            timeout_s=BULK_TIMEOUT_S,
        )

    def _until_answered(self, texts: Sequence[str], *, clients: int) -> Load:
        return closed_loop(
            self._server.port, self._requests(texts), clients=clients, seconds=None, pid=self._server.pid
        )

    def _requests(self, texts: Sequence[str]) -> list[Request]:
        return requests(texts, self._peer.request)


def _say(window: Window) -> None:
    print(
        f"  {window.contestant:<17} {window.texts_per_s:7.1f} texts/s, median {window.latency(50):.1f} ms, "
        f"p99 {window.latency(99):.1f} ms" + (f", {window.failed} failed" if window.failed else ""),
        file=sys.stderr,
        flush=True,
    )
