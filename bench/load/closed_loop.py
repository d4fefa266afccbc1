"""So many clients, each of which sends its next request when the last one was answered."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from bench.load.connection import REFUSED, Connection
from bench.load.connections import Connections
from bench.load.record import Recorder
from bench.load.renewals import Renewals
from bench.load.request import encoded
from bench.load.result import OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.load.answer import Answer
    from bench.load.request import Request
    from bench.load.result import Load

AGAIN_AFTER_S = 0.05
"""A client whose connection was refused or cut waits so long, or it would do nothing but fail."""


class TooFewRequestsError(Exception):
    """The requests ended before the time did; to send some again would change what is measured."""


class ClosedLoop:
    """One run; see `bench.load.generator.closed_loop` for what the arguments mean."""

    def __init__(
        self,
        port: int,
        requests: Sequence[Request],
        *,
        clients: int,
        seconds: float | None,
        warmup_s: float,
        server: int | None,
        timeout_s: float,
    ) -> None:
        """Needs a running event loop."""
        self._data = encoded(requests, port)
        self._texts = [request.texts for request in requests]
        self._next = 0
        self._clients = clients
        self._seconds = seconds
        self._warmup_s = warmup_s
        self._timeout_s = timeout_s
        self._recorder = Recorder(server)
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._stopping = False
        self._idle_clients = 0
        self._slots: dict[Connection, int] = {}  # which client has which connection
        self._renewals = Renewals(clients)
        self._reopening: set[asyncio.Task[None]] = set()
        self._connections = Connections(port, self._done, timeout_s=timeout_s)

    async def run(self) -> Load:
        """Send, wait for the last answer, and return what was counted.

        Raises:
            OSError: Nothing accepts connections there.
            TooFewRequestsError: More requests are needed for so many seconds.
        """
        with self._connections:
            self._slots = {await self._connections.open(): slot for slot in range(self._clients)}
            if self._seconds is None:
                self._recorder.start()
            else:
                self._loop.call_later(self._warmup_s, self._start, self._seconds)
            for client in list(self._slots):
                self._send(client)
            await self._finished
        self._recorder.load.steady = self._renewals.rates()
        return self._recorder.load

    def _start(self, seconds: float) -> None:
        begin = self._recorder.start()
        self._renewals.window(begin, begin + seconds)
        self._loop.call_at(begin + seconds, self._recorder.stop)
        self._loop.call_at(begin + seconds + self._timeout_s, self._stop)  # answers or not

    def _stop(self) -> None:
        self._stopping = True
        self._check_finished()

    def _send(self, client: Connection) -> None:
        if self._stopping or self._next == len(self._data):
            self._rest()
            return
        number, self._next = self._next, self._next + 1
        self._connections.send(client, self._data[number], request=number, since=self._loop.time())

    def _rest(self) -> None:
        """Take a client out: the time is over, or there is nothing more to send."""
        self._idle_clients += 1
        if self._stopping:
            self._check_finished()
        elif self._seconds is not None:
            self._fail(
                f"{len(self._data)} requests ended before the time did; make more for {self._seconds:g} s "
                f"and {self._clients} clients"
            )
        elif self._idle_clients == self._clients:
            for _ in range(len(self._data) - self._next):
                self._recorder.dropped()  # the server is gone
            self._recorder.stop()
            self._stop()

    def _done(self, client: Connection, outcome: Answer | str) -> None:
        slot = self._slots[client]
        self._count(slot, outcome, since=client.since, texts=self._texts[client.request])
        if client.open:
            self._send(client)
        else:
            del self._slots[client]
            self._reopen(slot, wait_s=AGAIN_AFTER_S if isinstance(outcome, str) else 0.0)

    def _count(self, slot: int, outcome: Answer | str, *, since: float, texts: int) -> None:
        now = self._loop.time()
        self._recorder.add(outcome, since=since, now=now, texts=texts)
        good = not isinstance(outcome, str) and outcome.status == OK
        self._renewals.add(slot, now, good=good, texts=texts)
        if self._renewals.complete:
            self._stopping = (
                True  # until then the load goes on, so that no client's last cycle is a lighter one
            )

    def _reopen(self, slot: int, *, wait_s: float) -> None:
        task = self._loop.create_task(self._open_again(slot, wait_s))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _open_again(self, slot: int, wait_s: float) -> None:
        give_up = self._loop.time() + self._timeout_s
        for attempt in itertools.count():
            if (
                self._stopping
                or self._next == len(self._data)
                or (self._seconds is None and self._loop.time() > give_up)
            ):
                self._rest()
                return
            await asyncio.sleep(AGAIN_AFTER_S if attempt else wait_s)
            since = self._loop.time()
            try:
                client = await self._connections.open()
            except OSError:
                self._count(slot, REFUSED, since=since, texts=0)
                continue
            self._slots[client] = slot
            self._send(client)
            return

    def _check_finished(self) -> None:
        if self._idle_clients == self._clients and not self._finished.done():
            self._finished.set_result(None)

    def _fail(self, message: str) -> None:
        if not self._finished.done():
            self._finished.set_exception(TooFewRequestsError(message))
