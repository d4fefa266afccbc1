"""Finds out now and then how a cache is, so that it is known without traffic too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

INTERVAL_S = 5.0
"""Seconds between the end of one check and the next."""


class Heartbeat:
    """Runs a check again and again, one at a time, from `start` until `aclose`."""

    def __init__(self, check: Callable[[], Awaitable[None]], *, interval_s: float = INTERVAL_S) -> None:
        """Keep the check.

        Args:
            check: Takes a bounded time and raises nothing.
            interval_s: Seconds between two checks.
        """
        self._check = check
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Check now, and from now on. Needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="mlapi-cache-heartbeat")

    async def aclose(self) -> None:
        """Stop, in the midst of a check if need be."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._check()
            await asyncio.sleep(self._interval_s)
