"""What tests of the Redis cache share."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address
from mlapi.cache.lookups import MOST_SHARED
from mlapi.cache.redis import RedisCache
from mlapi.types import CacheKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.redis_server import RedisServer

TTL_S = 1_000
MUCH_TOO_LONG_S = 3.0
"""Generous next to the timeouts in the tests, short next to what a hanging lookup would take."""


class Events(Counter[str]):
    """Counts what a cache reports."""

    def __call__(self, event: str, count: int) -> None:
        self[event] += count


@asynccontextmanager
async def opened(
    url: str,
    *,
    password: str | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    **options: Any,
) -> AsyncIterator[tuple[RedisCache, Events]]:
    """A cache and what it reports; long timeouts, so that a busy machine fails no test."""
    access = RedisAccess(parse_address(url), password=password, password_file=password_file, ca_file=ca_file)
    events = Events()
    settings: dict[str, Any] = {
        "ttl_s": TTL_S,
        "timeout_s": 5.0,
        "connect_timeout_s": 5.0,
        "on_event": events,
    } | options
    cache = RedisCache(access, **settings)
    try:
        yield cache, events
    finally:
        await cache.aclose()


def apart(wanted: list[CacheKey]) -> list[list[CacheKey]]:
    """Make each key a lookup that shares no question, so that those made at once take several connections."""
    return [[key] * (MOST_SHARED + 1) for key in wanted]


def keys(count: int, *, start: int = 0) -> list[CacheKey]:
    """Binary keys, all different."""
    return [CacheKey(b"mlapi:\x00\r\n:" + number.to_bytes(4)) for number in range(start, start + count)]


def value_of(key: CacheKey) -> bytes:
    """A binary value that tells to which key it belongs."""
    return b"\x01\r\n$-1\r\n" + key[::-1]


async def store(cache: RedisCache, wanted: list[CacheKey], events: Events) -> None:
    """Write an entry for each key and wait until Redis has them."""
    before = events["redis_written"]
    cache.set_many({key: value_of(key) for key in wanted})
    async with asyncio.timeout(20):
        while events["redis_written"] < before + len(wanted):  # noqa: ASYNC110 - the cache offers no event to wait for
            await asyncio.sleep(0.005)


async def only_client(server: RedisServer) -> None:
    """Wait until the asking connection is the server's only one."""
    async with asyncio.timeout(20):
        while b"connected_clients:1\r\n" not in server.command("INFO", "clients"):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
