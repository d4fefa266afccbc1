"""Requests that are sent when they are due, however long the earlier ones take."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Literal

from bench.load.connection import REFUSED, Connection
from bench.load.connections import Connections
from bench.load.record import Recorder
from bench.load.request import encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.load.answer import Answer
    from bench.load.request import Request
    from bench.load.result import Load

Arrivals = Literal["even", "poisson"]


def due_times(count: int, seconds: float, *, arrivals: Arrivals, seed: int) -> list[float]:
    """Return when each of so many requests is due, in seconds from the start, in order.

    `even` leaves the same time between all. `poisson` is what many independent users make: a Poisson process
    given its count, so that the rate is exact; gaps vary as in an exponential distribution.
    """
    if arrivals == "even":
        return [number * seconds / count for number in range(count)]
    generator = random.Random(seed)
    return sorted(generator.uniform(0, seconds) for _ in range(count))


class OpenLoop:
    """One run; see `bench.load.generator.open_loop` for what the arguments mean."""

    def __init__(
        self,
        port: int,
        requests: Sequence[Request],
        *,
        due: Sequence[float],
        seconds: float,
        server: int | None,
        connections: int,
        timeout_s: float,
    ) -> None:
        """Needs a running event loop whose timers are finer than a millisecond; `due` as of `due_times`."""
        self._data = encoded(requests, port)
        self._texts = [request.texts for request in requests]
        self._due = due
        self._seconds = seconds
        self._most = connections
        self._begin = 0.0
        self._next = 0
        self._recorder = Recorder(server)
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._answered = asyncio.Event()
        self._idle: list[
            Connection
        ] = []  # the last one used is used next: few connections do most of the work
        self._opening: set[asyncio.Task[None]] = set()
        self._connections = Connections(port, self._done, timeout_s=timeout_s)

    async def run(self) -> Load:
        """Send everything when it is due, wait for the last answer, and return what was counted.

        Raises:
            OSError: Nothing accepts connections there.
        """
        with self._connections:
            self._idle.append(await self._connections.open())
            self._begin = self._recorder.start()
            self._loop.call_at(self._begin + self._seconds, self._stop)
            self._send_due()
            await self._answered.wait()
        return self._recorder.load

    def _stop(self) -> None:
        self._send_due()  # what fell due since the last look
        self._recorder.stop()
        self._stopped = True
        self._check_answered()

    def _send_due(self) -> None:
        now = self._loop.time()
        while self._next < len(self._due) and (due := self._begin + self._due[self._next]) <= now:
            self._send(self._next, due)
            self._next += 1
        if self._next < len(self._due) and not self._stopped:
            self._loop.call_at(self._begin + self._due[self._next], self._send_due)

    def _send(self, number: int, due: float) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                self._recorder.late(self._loop.time() - due)
                self._connections.send(connection, self._data[number], request=number, since=due)
                return
            self._connections.forget(connection)
        if self._connections.count + len(self._opening) >= self._most:
            self._recorder.dropped()
            return
        task = self._loop.create_task(self._send_over_new(number, due))
        self._opening.add(task)
        task.add_done_callback(self._opened)

    async def _send_over_new(self, number: int, due: float) -> None:
        try:
            connection = await self._connections.open()
        except OSError:
            self._recorder.add(REFUSED, since=due, now=self._loop.time(), texts=0)
            return
        self._connections.send(connection, self._data[number], request=number, since=due)

    def _done(self, connection: Connection, outcome: Answer | str) -> None:
        number = connection.request
        self._recorder.add(outcome, since=connection.since, now=self._loop.time(), texts=self._texts[number])
        if connection.open:
            self._idle.append(connection)
        self._check_answered()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._check_answered()

    def _check_answered(self) -> None:
        if self._stopped and not self._opening and not self._connections.busy:
            self._answered.set()
