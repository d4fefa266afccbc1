"""Writes to Redis behind the caller's back: a bounded buffer and one task that empties it."""

from __future__ import annotations

import asyncio
import random
from itertools import islice
from typing import TYPE_CHECKING

from mlapi.cache.events import ignore_event
from mlapi.cache.health import Health
from mlapi.cache.protocol import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlapi.cache.connections import RedisConnections
    from mlapi.cache.events import OnEvent
    from mlapi.types import CacheKey

CLOSE_TIMEOUT_S = 2.0
"""How long closing waits for pending entries."""


class RedisWriter:
    """Stores entries with a lifetime, many in one write. What fails is dropped and counted, never retried."""

    def __init__(
        self,
        connections: RedisConnections,
        *,
        place: str,
        ttl_s: int,
        ttl_jitter: float,
        timeout_s: float,
        chunk: int,
        max_pending: int,
        on_event: OnEvent = ignore_event,
    ) -> None:
        """Keep the settings; the task starts with the first entry.

        Args:
            connections: Where to write.
            place: What logs call the server.
            ttl_s: Seconds that an entry lives, at least 1.
            ttl_jitter: Fraction by which each entry's life is randomly longer or shorter.
            timeout_s: Seconds for one write.
            chunk: Entries in one write.
            max_pending: Entries that wait, beside those being written; more are dropped.
            on_event: Told of entries written and dropped.
        """
        self._connections = connections
        self._ttl_s = ttl_s
        self._ttl_jitter = ttl_jitter
        self._timeout_s = timeout_s
        self._chunk = chunk
        self._max_pending = max_pending
        self._on_event = on_event
        self._pending: dict[CacheKey, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._health = Health(
            well=f"Redis at {place} takes new entries again",
            ill=f"Redis at {place} refuses new entries",
        )

    def put(self, entries: Mapping[CacheKey, bytes]) -> None:
        """Take entries to write; those that find no room are dropped. Needs a running event loop."""
        dropped = 0
        for key, value in entries.items():
            if not self._closed and (len(self._pending) < self._max_pending or key in self._pending):
                self._pending[key] = value
            else:
                dropped += 1
        if dropped:
            self._on_event("redis_dropped", dropped)
        if self._pending and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="mlapi-cache-writer")

    async def aclose(self) -> None:
        """Take no more entries, and write the pending ones for at most `CLOSE_TIMEOUT_S`."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT_S)
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._pending:
            self._on_event("redis_dropped", len(self._pending))
            self._pending.clear()

    async def _run(self) -> None:
        while self._pending:
            batch = {key: self._pending.pop(key) for key in list(islice(self._pending, self._chunk))}
            written = 0
            try:
                written = await self._write(batch)
            finally:  # counted when cancelled too
                if written:
                    self._on_event("redis_written", written)
                if written < len(batch):
                    self._on_event("redis_dropped", len(batch) - written)

    async def _write(self, batch: Mapping[CacheKey, bytes]) -> int:
        """Return how many entries Redis took."""
        commands = [pack(b"SET", key, value, b"EX", b"%d" % self._lifetime()) for key, value in batch.items()]
        replies = await self._connections.exchange(commands, timeout_s=self._timeout_s)
        if replies is None:
            return 0
        refusals = [reply for reply in replies if isinstance(reply, Exception)]
        if refusals:
            self._health.failed(refusals[0])
            self._on_event("redis_refused", 1)
        else:
            self._health.succeeded()
        return len(replies) - len(refusals)

    def _lifetime(self) -> int:
        factor = random.uniform(1 - self._ttl_jitter, 1 + self._ttl_jitter)  # noqa: S311 - spreads load, keeps no secret
        return max(1, round(self._ttl_s * factor))
