"""Lookups of several requests in one question to the far cache.

What a question costs here and there hardly depends on how many keys it has, so under load most of a request's
lookup is paid for by others. The first goes out in the event loop's next turn. While it is on its way, others
gather, until it is answered, but for `LINGER_S` at most: a cache that has become slow is not asked one
question after another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from mlapi.types import CacheKey

    Ask = Callable[[Sequence[CacheKey]], Coroutine[Any, Any, list[bytes | None]]]
    Waiter = asyncio.Future[list[bytes | None]]
    Rider = tuple[Sequence[CacheKey], Waiter]

logger = logging.getLogger(__name__)

LINGER_S = 0.001
"""Longest that a lookup waits for others, in seconds: about a round trip within a data centre."""

MOST_SHARED = 16
"""Keys of one request up to which they share a question; more make one of their own worth while."""


class Lookups:
    """Gathers lookups that are made at about the same time. Used from one event loop."""

    def __init__(self, ask: Ask, *, linger_s: float = LINGER_S) -> None:
        """Keep what asks.

        Args:
            ask: Looks keys up in one question, which takes a bounded time.
            linger_s: Longest that a lookup waits for others, in seconds.
        """
        self._ask = ask
        self._linger_s = linger_s
        self._gathered: list[Rider] = []
        self._departure: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: dict[asyncio.Task[list[bytes | None]], list[Rider]] = {}
        self._closed = False

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look keys up; the values in order, None for each that is not there or could not be asked for."""
        if len(keys) > MOST_SHARED:
            return await self._ask(keys)
        if self._closed:
            return [None] * len(keys)
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        self._gathered.append((keys, waiter))
        if self._departure is None:
            if not self._under_way:
                self._leave()
            elif self._timer is None:
                self._timer = loop.call_later(self._linger_s, self._leave)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._drop_abandoned()
            raise

    def close(self) -> None:
        """Ask nothing more. What is gathered counts as missing; what is under way is still answered."""
        self._closed = True
        for handle in (self._timer, self._departure):
            if handle is not None:
                handle.cancel()
        self._hand_out(self._gathered, None)
        self._gathered = []
        self._drop_abandoned()

    def _leave(self) -> None:
        """Have what is gathered asked for in the loop's next turn."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._departure = asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self._departure = None
        # Whoever went away meanwhile is neither asked for nor answered.
        riders = [(keys, waiter) for keys, waiter in self._gathered if not waiter.done()]
        self._gathered = []
        if riders:
            asked = self._ask([key for keys, _ in riders for key in keys])
            task = asyncio.create_task(asked, name="mlapi-cache-lookup")
            self._under_way[task] = riders
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[list[bytes | None]]) -> None:
        riders = self._under_way.pop(task)
        values: list[bytes | None] | None = None
        if not task.cancelled():
            error = task.exception()
            if error is None:
                values = task.result()
            else:
                logger.error("a lookup failed (%s)", type(error).__name__)
        self._hand_out(riders, values)
        if self._gathered and self._departure is None:
            self._leave()

    @staticmethod
    def _hand_out(riders: list[Rider], values: list[bytes | None] | None) -> None:
        """Give each rider its values, or misses where there are none, or not as many as were asked for."""
        if values is None or len(values) != sum(len(keys) for keys, _ in riders):
            values = [None for keys, _ in riders for _ in keys]
        start = 0
        for keys, waiter in riders:
            end = start + len(keys)
            if not waiter.done():
                waiter.set_result(values[start:end])
            start = end

    def _drop_abandoned(self) -> None:
        """Cancel questions to which nobody waits for the answer any more."""
        for task, riders in list(self._under_way.items()):
            if all(waiter.done() for _, waiter in riders):
                task.cancel()
