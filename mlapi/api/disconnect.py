"""Stop working for a client that has gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

Result = TypeVar("Result")

WATCH_AFTER_S = 0.2
"""How long a request may take before anyone looks whether its client is still there. That takes a task, about
30 µs, and most requests are answered before."""


async def until_disconnect(receive: Receive, work: Coroutine[object, object, Result]) -> Result:
    """Run `work`, and cancel it when the client goes away, which nobody looks for in the first WATCH_AFTER_S.

    Args:
        receive: The request's ASGI receive, its body read to the end.
        work: What to do for the client.

    Raises:
        ClientDisconnect: The client went away; the work was cancelled and has ended.
    """
    request = asyncio.current_task()
    assert request is not None  # noqa: S101 - a coroutine runs in a task
    gone = over = False

    def leave(ended: asyncio.Task[None]) -> None:
        nonlocal gone
        if ended.cancelled():
            return
        ended.exception()  # seen: a connection that cannot be read is a client that has gone, too
        if not over:  # the work may have ended while this call was on its way
            gone = True
            request.cancel()

    watching: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal watching
        watching = asyncio.create_task(_disconnected(receive))
        watching.add_done_callback(leave)

    # The work runs in the request's own task, which costs less than a task for each of the two.
    later = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and not request.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        over = True
        later.cancel()
        if watching is not None:
            watching.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
