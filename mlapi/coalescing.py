"""One computation per text, however many requests wait for it.

A `Flight` is a text on its way through tokeniser and engine; a `Ticket` is one request's wait for a number of
flights. A request that goes away gives up its ticket only: a flight is abandoned when its last ticket is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mlapi.lanes import BatchRun, Job
from mlapi.types import Lane, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlapi.types import CacheKey, Probabilities


class Ticket:
    """One request's wait for its flights.

    Attributes:
        done: Resolves when all flights have landed, or raises the first error.
    """

    __slots__ = ("_pending", "done")

    def __init__(self) -> None:
        """Make a ticket for no flight yet. Needs a running event loop."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending = 0

    def add(self, flight: Flight) -> None:
        """Wait for this flight, too."""
        self._pending += 1
        flight.tickets.append(self)

    def landed(self) -> None:
        """Count one flight as answered."""
        self._pending -= 1
        if not self._pending and not self.done.done():
            self.done.set_result(None)

    def give_up(self) -> None:
        """Wait no longer; a failure that has come already counts as seen."""
        if not self.done.cancel() and not self.done.cancelled():
            self.done.exception()

    def crashed(self, error: Exception) -> None:
        """Fail the wait."""
        if not self.done.done():
            self.done.set_exception(error)


class Flight(Job):
    """One distinct text that is being computed.

    Attributes:
        key: Its cache key, under which other requests find it.
        text: The text; empty once it is encoded.
        tickets: Who waits.
        prediction: The answer, once it is there.
        run: The engine call that gave the answer.
        over: Whether it was answered, failed or abandoned.
    """

    __slots__ = ("_on_over", "key", "over", "prediction", "run", "text", "tickets")

    def __init__(
        self,
        key: CacheKey,
        text: str,
        *,
        lane: Lane,
        deadline: float,
        on_over: Callable[[Flight], None],
    ) -> None:
        """Make a flight for which nobody waits yet; `on_over` is called once, however it ends."""
        super().__init__(lane=lane, deadline=deadline)
        self.key = key
        self.text = text
        self.tickets: list[Ticket] = []
        self.prediction: Prediction | None = None
        self.run: BatchRun | None = None
        self.over = False
        self._on_over = on_over

    def resolve(self, probabilities: Probabilities, run: BatchRun) -> None:
        """Take the answer and tell everyone who waits. Without effect on a flight that is over."""
        if self.over:
            return
        self.prediction = Prediction(probabilities, self.encoding.truncated)
        self.run = run
        for ticket in self._end():
            ticket.landed()

    def fail(self, error: Exception) -> None:
        """Fail everyone who waits. Without effect on a flight that is over."""
        if self.over:
            return
        for ticket in self._end():
            ticket.crashed(error)

    def landed(self) -> tuple[Prediction, BatchRun]:
        """Return the answer and the engine call that gave it, once a ticket says that they are there."""
        assert self.prediction is not None  # noqa: S101 - the ticket's word
        assert self.run is not None  # noqa: S101 - as above
        return self.prediction, self.run

    def leave(self, ticket: Ticket) -> bool:
        """Let one request go; tell whether that abandoned the flight, because no other waits.

        One that the engine is working on already is not abandoned: its answer is worth keeping.
        """
        if self.over:
            return False
        self.tickets.remove(ticket)
        if self.tickets or self.taken:
            return False
        self._end()
        return True

    def _end(self) -> list[Ticket]:
        self.over = True
        tickets, self.tickets = self.tickets, []
        self._on_over(self)
        return tickets
