"""Stop working for a client that has gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

Result = TypeVar("Result")


async def until_disconnect(receive: Receive, work: Coroutine[object, object, Result]) -> Result:
    """Run `work`, and cancel it when the client goes away.

    Args:
        receive: The request's ASGI receive, its body read to the end.
        work: What to do for the client.

    Raises:
        ClientDisconnect: The client went away; the work was cancelled and has ended.
    """
    request = asyncio.current_task()
    assert request is not None  # noqa: S101 - a coroutine runs in a task
    gone = False

    def leave(ended: asyncio.Task[None]) -> None:
        nonlocal gone
        if not ended.cancelled():
            ended.exception()  # seen: a connection that cannot be read is a client that has gone, too
            gone = True
            request.cancel()

    # The work runs in the request's own task, which costs less than a task for each of the two.
    watching = asyncio.create_task(_disconnected(receive))
    watching.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and not request.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watching.remove_done_callback(leave)
        watching.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
