"""Lookups of several requests in one question to the far cache.

What a question costs here and there hardly depends on how many keys it has, so under load most of a request's
lookup is paid for by others. The first goes out at once. While it is on its way, others gather, until it is
answered, but for `LINGER_S` at most: a cache that has become slow is not asked one question after another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mlapi.types import CacheKey

    Ask = Callable[[Sequence[CacheKey]], Awaitable[list[bytes | None]]]
    Waiter = asyncio.Future[list[bytes | None]]

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
        self._gathered: list[tuple[Sequence[CacheKey], Waiter]] = []
        self._leaving = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look keys up; the values in order, None for each that is not there.

        Raises:
            Exception: What `ask` raised.
        """
        if len(keys) > MOST_SHARED:
            return await self._ask(keys)
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        self._gathered.append((keys, waiter))
        if not self._under_way:
            self._leave()
        elif not self._leaving and self._timer is None:
            self._timer = loop.call_later(self._linger_s, self._leave)
        return await waiter

    def _leave(self) -> None:
        """Have what is gathered asked for in the loop's next turn."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leaving = True
        task = asyncio.create_task(self._run(), name="mlapi-cache-lookup")
        self._under_way.add(task)
        task.add_done_callback(self._arrived)

    async def _run(self) -> None:
        self._leaving = False
        gathered, self._gathered = self._gathered, []
        # Whoever went away meanwhile is neither asked for nor answered.
        waited_for = [(keys, waiter) for keys, waiter in gathered if not waiter.done()]
        if not waited_for:
            return
        try:
            values = iter(await self._ask([key for keys, _ in waited_for for key in keys]))
        except BaseException as error:
            for _, waiter in waited_for:
                if not waiter.done():
                    waiter.set_exception(error) if isinstance(error, Exception) else waiter.cancel()
            raise
        for keys, waiter in waited_for:
            found = [next(values) for _ in keys]
            if not waiter.done():
                waiter.set_result(found)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits has it
        if self._gathered and not self._leaving:
            self._leave()
