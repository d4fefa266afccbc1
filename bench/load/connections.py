"""The connections of one load: opened, watched for time-outs, closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from bench.load.connection import Connection
from bench.load.request import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.load.answer import Answer

CHECK_EVERY_S = 0.5


class Connections:
    """All connections to one port, until the block ends.

    Args:
        port: On this machine.
        done: See `Connection`.
        timeout_s: Longest wait for an answer; then the request counts as failed and its connection is closed.

    Attributes:
        busy: Those with a request under way.
    """

    def __init__(
        self, port: int, done: Callable[[Connection, Answer | str], None], *, timeout_s: float
    ) -> None:
        self.busy: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._done = done
        self._timeout_s = timeout_s
        self._all: set[Connection] = set()
        self._check: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._all)

    async def open(self) -> Connection:
        """Open one.

        Raises:
            OSError: Nothing listens there, or it does not accept.
        """
        _, connection = await self._loop.create_connection(lambda: Connection(self._ended), HOST, self._port)
        self._all.add(connection)
        return connection

    def send(self, connection: Connection, data: bytes, *, request: int, since: float) -> None:
        """Send a request over one of them."""
        self.busy.add(connection)
        connection.send(data, request=request, since=since)

    def forget(self, connection: Connection) -> None:
        """Leave out one that is closed."""
        self._all.discard(connection)

    def _ended(self, connection: Connection, outcome: Answer | str) -> None:
        self.busy.discard(connection)
        if not connection.open:
            self.forget(connection)
        self._done(connection, outcome)

    def _look(self) -> None:
        overdue = self._loop.time() - self._timeout_s
        for connection in [each for each in self.busy if each.since < overdue]:
            connection.give_up()
        self._check = self._loop.call_later(CHECK_EVERY_S, self._look)

    def __enter__(self) -> Self:
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._check is not None:
            self._check.cancel()
        for connection in self._all:
            connection.close()
