"""Writes that wait for Redis, and the end of the cache."""

from __future__ import annotations

import asyncio
import time

from tests.support.redis_caches import MUCH_TOO_LONG_S, keys, only_client, opened, store, value_of
from tests.support.redis_server import RedisServer


async def test_waiting_writes_are_bounded(redis_server: RedisServer) -> None:
    """While Redis hangs, the service would collect entries until it runs out of memory."""
    async with opened(redis_server.url, max_pending=50, chunk=10) as (cache, events):
        await store(cache, keys(1), events)
        redis_server.freeze()
        cache.set_many(dict.fromkeys(keys(10, start=100), b"1"))
        await asyncio.sleep(0.05)  # these are on their way, the next ones wait
        cache.set_many(dict.fromkeys(keys(70, start=200), b"1"))
        assert events["redis_dropped"] == 20
        redis_server.thaw()
    assert events["redis_written"] == 1 + 10 + 50
    assert events["redis_dropped"] == 20


async def test_closing_writes_what_is_pending(redis_server: RedisServer) -> None:
    """Each rollout would lose the last answers, or writes after the end would wait for ever."""
    async with opened(redis_server.url) as (cache, events):
        cache.set_many({key: value_of(key) for key in keys(3_000)})
        await cache.aclose()
        assert cache.status == "off"
        assert await cache.get_many(keys(2)) == [None, None]
        cache.set_many({keys(1, start=9_000)[0]: b"late"})
        await cache.aclose()
    assert events["redis_written"] == 3_000
    assert events["redis_dropped"] == 1
    assert redis_server.command("DBSIZE") == b":3000\r\n"


async def test_closing_does_not_wait_for_a_frozen_server(redis_server: RedisServer) -> None:
    """A hanging Redis would keep the process from ending within its grace period."""
    async with opened(redis_server.url) as (cache, events):
        await store(cache, keys(1), events)
        redis_server.freeze()
        cache.set_many(dict.fromkeys(keys(2_000), b"1"))
        lookup = asyncio.create_task(cache.get_many(keys(1)))
        started = time.monotonic()
        await cache.aclose()
        assert time.monotonic() - started < 2 + MUCH_TOO_LONG_S
        assert events["redis_dropped"] == 2_000
        lookup.cancel()
        await asyncio.wait([lookup])


async def test_lookup_under_way_at_the_end_gives_its_connection_back(redis_server: RedisServer) -> None:
    """A connection that was in use at the end would stay open for as long as the process lives."""
    async with opened(redis_server.url) as (cache, events):
        await store(cache, keys(1), events)
        redis_server.freeze()
        lookup = asyncio.create_task(cache.get_many(keys(1)))
        await asyncio.sleep(0.05)
        await cache.aclose()
        redis_server.thaw()
        assert await lookup == [value_of(keys(1)[0])]
        await only_client(redis_server)
