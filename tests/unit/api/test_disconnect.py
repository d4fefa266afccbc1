from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.requests import ClientDisconnect

from mlapi.api import disconnect
from mlapi.api.disconnect import until_disconnect

if TYPE_CHECKING:
    from starlette.types import Message


@pytest.fixture(autouse=True)
def _watched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "WATCH_AFTER_S", 0.0)


class _Client:
    """The receiving side of a request whose body was read."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def test_the_answer_comes_through() -> None:
    """If it fails, requests whose clients wait get no answer."""

    async def work() -> str:
        await asyncio.sleep(0)
        return "answer"

    assert await until_disconnect(_Client().receive, work()) == "answer"


async def test_an_error_comes_through() -> None:
    """If it fails, an error of the work is lost, or turned into another."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError("reason")

    with pytest.raises(LookupError, match="reason"):
        await until_disconnect(_Client().receive, work())


async def test_work_for_nobody_is_cancelled() -> None:
    """If it fails, the service goes on computing for clients that have gone."""
    client = _Client()
    cancelled = asyncio.Event()

    async def work() -> None:
        client.gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ClientDisconnect):
        await until_disconnect(client.receive, work())
    assert cancelled.is_set()


async def test_cancellation_from_outside_reaches_the_work() -> None:
    """If it fails, a request that the server cancels at its end leaves its work running."""
    client = _Client()
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    request = asyncio.create_task(until_disconnect(client.receive, work()))
    await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert ended.is_set()


async def test_an_answer_wins_over_a_disconnect() -> None:
    """If it fails, an answer that is there is thrown away because its client left in the same moment."""
    client = _Client()
    client.gone.set()

    async def work() -> str:
        return "answer"

    assert await until_disconnect(client.receive, work()) == "answer"


async def test_a_disconnect_as_the_work_ends_does_not_cancel_what_comes_after_it() -> None:
    """If it fails, an answer is cancelled while it is written, and logged as the end of the server."""
    client = _Client()
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    async def request() -> str:
        result = await until_disconnect(client.receive, _wait(answer))
        for _ in range(5):
            await asyncio.sleep(0)
        return result

    for turns in range(5):
        client, answer = _Client(), loop.create_future()
        running = asyncio.create_task(request())
        await asyncio.sleep(0.01)
        client.gone.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        if not answer.done():
            answer.set_result("answer")
        try:
            assert await running == "answer"
        except ClientDisconnect:
            assert turns  # it came first


async def _wait(answer: asyncio.Future[str]) -> str:
    return await answer


async def test_the_end_of_the_server_wins_over_a_disconnect() -> None:
    """If it fails, a request that the server cancels as its client leaves swallows the cancellation."""
    client = _Client()
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(until_disconnect(client.receive, work()))
    await started.wait()
    client.gone.set()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_deadline_inside_is_no_disconnect() -> None:
    """If it fails, a request whose time ran out is taken for one whose client left, and gets no answer."""

    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await until_disconnect(_Client().receive, work())


async def test_a_connection_that_cannot_be_read_is_gone() -> None:
    """If it fails, the service goes on computing for a connection that broke."""

    async def receive() -> Message:
        raise ConnectionError

    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await until_disconnect(receive, work())


async def test_nobody_watches_what_is_answered_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, every request pays for a task that is ended before it can find out anything."""
    monkeypatch.setattr(disconnect, "WATCH_AFTER_S", 60.0)
    client = _Client()

    async def work() -> str:
        await asyncio.sleep(0.01)
        return "answer"

    assert await until_disconnect(client.receive, work()) == "answer"
    assert client.asked == 0


async def test_nothing_is_left_behind() -> None:
    """If it fails, each request leaves a task that waits for its client to go."""
    before = asyncio.all_tasks()

    async def work() -> str:
        await asyncio.sleep(0.01)
        return "answer"

    await until_disconnect(_Client().receive, work())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
