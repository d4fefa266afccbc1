"""The cache in Redis, which every process of the service shares. A failure of any kind is a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.cache.connections import RedisConnections
from mlapi.cache.events import ignore_event
from mlapi.cache.health import Health
from mlapi.cache.heartbeat import INTERVAL_S, Heartbeat
from mlapi.cache.lookups import Lookups
from mlapi.cache.protocol import pack
from mlapi.cache.writer import RedisWriter
from mlapi.types import CacheKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlapi.cache.access import RedisAccess
    from mlapi.cache.events import OnEvent

PROBE = CacheKey(b"mlapi:probe")
"""Looked up to learn whether lookups are allowed; never written."""

WRITE_TIMEOUT_S = 1.0
"""Seconds that one write may take: nobody waits for it, but entries pile up behind it."""


class RedisCache:
    """A `Cache` in Redis. Used from one event loop.

    A lookup costs at most about `timeout_s`, whatever state Redis is in; a write costs the caller nothing.
    """

    def __init__(
        self,
        access: RedisAccess,
        *,
        ttl_s: int,
        ttl_jitter: float = 0.1,
        timeout_s: float = 0.1,
        connect_timeout_s: float = 0.5,
        chunk: int = 1_000,
        max_pending: int = 10_000,
        max_connections: int = 16,
        heartbeat_s: float = INTERVAL_S,
        on_event: OnEvent = ignore_event,
        on_status: Callable[[bool], None] = lambda _up: None,
    ) -> None:
        """Keep the settings; nothing connects here.

        Args:
            access: Where Redis is and how to get in; of kind `tcp` or `unix`.
            ttl_s: Seconds that an entry lives, at least 1.
            ttl_jitter: Fraction, from 0 to below 1, by which each entry's life is randomly longer or shorter,
                so that what was written together does not expire together.
            timeout_s: Seconds for a question, all its keys together, waiting for a connection included.
            connect_timeout_s: Seconds for one attempt to connect; a lookup gives up after `timeout_s`.
            chunk: Keys in one MGET, and entries in one write.
            max_pending: Entries that wait to be written; more are dropped.
            max_connections: How many exchanges with Redis run at once; more wait their turn.
            heartbeat_s: Seconds between two looks at how Redis is, without traffic.
            on_event: Told of hits, misses, failures, writes and drops.
            on_status: Told whether Redis is of use, as `status` has it: once that is known, and at each
                change.
        """
        self._timeout_s = timeout_s
        self._chunk = chunk
        self._on_event = on_event
        self._closed = False
        self._on_status = on_status
        self._told: bool | None = None
        self._lookups_allowed = False
        place = access.address.redacted
        self._connections = RedisConnections(
            access,
            connect_timeout_s=connect_timeout_s,
            max_connections=max_connections,
            on_event=on_event,
            on_change=self._tell,
            on_connect=self._forget_rights,
        )
        self._writer = RedisWriter(
            self._connections,
            place=place,
            ttl_s=ttl_s,
            ttl_jitter=ttl_jitter,
            timeout_s=connect_timeout_s + WRITE_TIMEOUT_S,
            chunk=chunk,
            max_pending=max_pending,
            on_event=on_event,
        )
        self._reads = Health(
            well=f"Redis at {place} allows lookups again",
            ill=f"Redis at {place} refuses lookups",
            on_change=self._tell,
        )
        self._lookups = Lookups(self._look_up)
        self._heartbeat = Heartbeat(self._check, interval_s=heartbeat_s)

    @property
    def status(self) -> str:
        """`down` while Redis does not answer or refuses lookups, `off` once closed, otherwise `ok`.

        `unknown` until the first lookup has gone one way or the other.
        """
        if self._closed:
            return "off"
        if not (self._connections.health.ok and self._reads.ok):
            return "down"
        return "ok" if self._reads.known else "unknown"

    def start(self) -> None:
        """Look now and then how Redis is, from now on. Needs a running event loop."""
        self._heartbeat.start()

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look all keys up, with others in one question; None for each that could not be had."""
        if self._closed or not keys:
            return [None] * len(keys)
        return await self._lookups.get_many(keys)

    async def _look_up(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        chunks = [keys[start : start + self._chunk] for start in range(0, len(keys), self._chunk)]
        commands = [pack(b"MGET", *chunk) for chunk in chunks]
        replies = await self._connections.exchange(commands, timeout_s=self._timeout_s)
        values: list[bytes | None] = [None] * len(keys) if replies is None else self._values(chunks, replies)
        misses = values.count(None)
        if misses:
            self._on_event("redis_miss", misses)
        if misses < len(values):
            self._on_event("redis_hit", len(values) - misses)
        return values

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:  # noqa: ARG002
        """Return None: nothing is held in this process."""
        return None

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        """Have the entries written soon; returns at once. Needs a running event loop."""
        self._writer.put(entries)

    async def aclose(self) -> None:
        """Write what is pending, for about two seconds at most, and close the connections."""
        self._closed = True
        self._lookups.close()
        await self._heartbeat.aclose()
        await self._writer.aclose()
        await self._connections.aclose()

    async def _check(self) -> None:
        await self._connections.ping(timeout_s=self._timeout_s)
        if self._connections.health.ok and not self._lookups_allowed:
            # Whoever may ask for a PONG may still be refused lookups. No more of these once one went through,
            # until there is a new connection: each counts as a miss in Redis's own figures.
            replies = await self._connections.exchange([pack(b"MGET", PROBE)], timeout_s=self._timeout_s)
            if replies is not None:
                self._values([[PROBE]], replies)
        self._tell()

    def _forget_rights(self) -> None:
        """Have lookups tried again: a new login may have other rights, or be one to another server."""
        self._lookups_allowed = False

    def _tell(self) -> None:
        up = {"ok": True, "down": False}.get(self.status)
        if up is not None and up is not self._told:
            self._told = up
            self._on_status(up)

    def _values(self, chunks: Sequence[Sequence[CacheKey]], replies: Sequence[object]) -> list[bytes | None]:
        """Put the replies together; a refused chunk is a chunk of misses."""
        values: list[bytes | None] = []
        refusal: Exception | None = None
        for chunk, reply in zip(chunks, replies, strict=True):
            if isinstance(reply, list) and len(reply) == len(chunk):
                values += reply  # MGET gives nil where the value is not a string
            else:
                values += [None] * len(chunk)
                refusal = reply if isinstance(reply, Exception) else TypeError()
        self._lookups_allowed = refusal is None
        if refusal is None:
            self._reads.succeeded()
        else:
            self._reads.failed(refusal)
            self._on_event("redis_refused", 1)
        return values
