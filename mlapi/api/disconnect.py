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
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        watching.cancel()
        working.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
