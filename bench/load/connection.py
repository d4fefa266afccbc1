"""One keep-alive connection with at most one request under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from bench.load.answer import Answer, AnswerReader, GarbledAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED = "closed by the server"
GARBLED = "garbled"
REFUSED = "not accepted"
TIMED_OUT = "timed out"


class Connection(asyncio.Protocol):
    """Sends prebuilt bytes and tells what came back.

    A connection that the server closes between requests is no failure: keep-alive has its limits.

    Args:
        done: Called with this connection and its answer, or the reason why there is none. The request's
            number is in `request`.

    Attributes:
        request: Number of the request under way or answered last.
        since: When it was sent, or was due; by the event loop's clock.
    """

    def __init__(self, done: Callable[[Connection, Answer | str], None]) -> None:
        self.request = -1
        self.since = 0.0
        self._done = done
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._busy = False

    @property
    def open(self) -> bool:
        """Whether it can take a request."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, *, request: int, since: float) -> None:
        """Send a request. Needs an open connection without one under way."""
        if self._transport is None or self._busy:
            raise RuntimeError("a connection carries one request at a time, once it is open")
        self.request, self.since, self._busy = request, since, True
        self._transport.write(data)

    def give_up(self) -> None:
        """Stop waiting for the answer: the request has failed, and the connection is of no use."""
        self._end(TIMED_OUT)

    def close(self) -> None:
        """Close it without a word to anyone."""
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # what create_connection gives

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        if not self._busy:
            self.close()  # nothing was asked
            return
        try:
            answer = self._reader.feed(data)
        except GarbledAnswerError:
            self._end(GARBLED)
            return
        if answer is None:
            return
        self._busy = False
        if not answer.reusable:
            self.close()
        self._done(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection, which may be how the answer ends."""
        if self._busy:
            answer = self._reader.close() if exc is None else None
            self._busy = False
            self._done(self, answer or CLOSED)

    def _end(self, reason: str) -> None:
        if self._busy:
            self.close()
            self._done(self, reason)
