"""Flights and tickets: who waits for what, and what happens when one stops waiting."""

from __future__ import annotations

import pytest

from mlapi.coalescing import Flight, Ticket
from mlapi.errors import EngineError
from mlapi.lanes import BatchRun
from mlapi.types import CacheKey, Encoding, Lane, Prediction

ANSWER = (0.25, 0.75)


class Table:
    """Counts how often each flight ended."""

    def __init__(self) -> None:
        self.ended: list[Flight] = []

    def flight(self, text: str = "a") -> Flight:
        flight = Flight(
            CacheKey(text.encode()), text, lane=Lane.INTERACTIVE, deadline=1.0, on_over=self.ended.append
        )
        flight.encoding = Encoding(payload=[1], length=1, truncated=True)
        return flight


async def test_a_ticket_waits_for_all_its_flights() -> None:
    """A request would be answered before all of its texts are."""
    table = Table()
    flights = [table.flight("a"), table.flight("b")]
    ticket = Ticket()
    for flight in flights:
        ticket.add(flight)
    flights[0].resolve(ANSWER, BatchRun(started=0.0))
    assert not ticket.done.done()
    flights[1].resolve(ANSWER, BatchRun(started=0.0))
    await ticket.done
    assert flights[1].landed()[0] == Prediction(ANSWER, truncated=True)
    assert table.ended == flights


async def test_a_flight_resolves_everyone_who_waits() -> None:
    """Of two requests for one text, one would wait for ever."""
    flight = Table().flight()
    tickets = [Ticket(), Ticket()]
    for ticket in tickets:
        ticket.add(flight)
    flight.resolve(ANSWER, BatchRun(started=0.0))
    assert all(ticket.done.done() for ticket in tickets)


async def test_the_first_error_ends_the_wait() -> None:
    """A request whose answer can no longer be whole would wait for the rest."""
    table = Table()
    flights = [table.flight("a"), table.flight("b")]
    ticket = Ticket()
    for flight in flights:
        ticket.add(flight)
    flights[0].fail(EngineError("first"))
    flights[1].fail(EngineError("second"))
    with pytest.raises(EngineError, match="first"):
        await ticket.done


async def test_a_flight_ends_once() -> None:
    """A batch that fails half-way would answer its texts twice, or remove another flight from the table."""
    table = Table()
    flight = table.flight()
    ticket = Ticket()
    ticket.add(flight)
    flight.resolve(ANSWER, BatchRun(started=0.0))
    flight.resolve((1.0, 0.0), BatchRun(started=0.0))
    flight.fail(EngineError("late"))
    assert not flight.leave(ticket)
    await ticket.done
    assert flight.landed()[0].probabilities == ANSWER
    assert table.ended == [flight]


async def test_only_the_last_to_leave_abandons() -> None:
    """One impatient client would take the answer from all others."""
    table = Table()
    flight = table.flight()
    first, last = Ticket(), Ticket()
    first.add(flight)
    last.add(flight)
    assert not flight.leave(first)
    assert not flight.over
    assert flight.leave(last)
    assert flight.over


async def test_what_the_engine_has_is_not_abandoned() -> None:
    """Engine time already spent would be thrown away."""
    flight = Table().flight()
    ticket = Ticket()
    ticket.add(flight)
    flight.submitted = 1.0
    assert not flight.leave(ticket)
    assert not flight.over


@pytest.mark.filterwarnings("error")
async def test_giving_up_sees_errors_that_nobody_awaits() -> None:
    """Every refused or cancelled bulk request would leave a complaint of the event loop in the log."""
    failed, landed, pending = Ticket(), Ticket(), Ticket()
    failed.crashed(EngineError("unseen"))
    flight = Table().flight()
    landed.add(flight)
    flight.resolve(ANSWER, BatchRun(started=0.0))
    for ticket in (failed, landed, pending):
        ticket.give_up()
        ticket.give_up()
    assert pending.done.cancelled()
