"""The Redis cache against a real server that is well."""

from __future__ import annotations

import asyncio
import tempfile

import pytest

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address
from mlapi.cache.lookups import MOST_SHARED
from mlapi.cache.redis import RedisCache
from tests.support.redis_caches import TTL_S, keys, opened, store, value_of
from tests.support.redis_server import RedisServer


async def test_round_trip_over_several_chunks(redis_server: RedisServer) -> None:
    """A large batch would lose keys, mix up their order, or break on bytes that mean something to Redis."""
    wanted = keys(2_500)
    async with opened(redis_server.url) as (cache, events):
        await store(cache, wanted[::2], events)
        found = await cache.get_many(wanted)
        assert found == [value_of(key) if place % 2 == 0 else None for place, key in enumerate(wanted)]
        assert (events["redis_hit"], events["redis_miss"]) == (1_250, 1_250)
        assert cache.status == "ok"
    statistics = redis_server.command("INFO", "commandstats")
    assert b"cmdstat_mget:calls=3," in statistics
    assert b"cmdstat_get:" not in statistics


async def test_nothing_asked(redis_server: RedisServer) -> None:
    """An empty request would cost a round trip or fail."""
    async with opened(redis_server.url) as (cache, events):
        cache.set_many({})
        assert await cache.get_many([]) == []
        assert not events


async def test_lifetimes_are_spread_within_the_jitter(redis_server: RedisServer) -> None:
    """Entries would live for ever, or all expire in one moment and be computed again in one burst."""
    wanted = keys(200)
    async with opened(redis_server.url, ttl_jitter=0.2) as (cache, events):
        await store(cache, wanted, events)
    lifetimes = [int(redis_server.command("TTL", key)[1:]) for key in wanted]
    assert min(lifetimes) >= TTL_S * 0.8 - 30
    assert max(lifetimes) <= TTL_S * 1.2
    assert max(lifetimes) - min(lifetimes) > TTL_S * 0.1


async def test_value_of_another_type_is_a_miss(redis_server: RedisServer) -> None:
    """One foreign key in the database would make every batch that contains it fail."""
    odd, fine = keys(2)
    redis_server.command("LPUSH", odd, "something else")
    async with opened(redis_server.url) as (cache, events):
        await store(cache, [fine], events)
        assert await cache.get_many([odd, fine]) == [None, value_of(fine)]


@pytest.mark.parametrize("separate", [False, True])
async def test_login(separate: bool) -> None:
    """A Redis that wants a password could not be used, in the address or beside it."""
    with RedisServer(password="p@ss word") as server:
        url = f"redis://127.0.0.1:{server.port}/3" if separate else f"{server.url}/3"
        async with opened(url, password="p@ss word" if separate else None) as (cache, events):
            await store(cache, keys(2), events)
            assert await cache.get_many(keys(2)) == [value_of(key) for key in keys(2)]
        assert b"db3:keys=2" in server.command("INFO", "keyspace")


async def test_many_lookups_at_once_share_few_connections(redis_server: RedisServer) -> None:
    """Under load lookups would be answered with each other's values, or use up Redis's connections."""
    wanted = keys(400)
    async with opened(redis_server.url, max_connections=4) as (cache, events):
        await store(cache, wanted, events)
        # So many keys that each lookup is a question of its own.
        parts = [(wanted + wanted)[place : place + MOST_SHARED + 1] for place in range(len(wanted))]
        found = await asyncio.gather(*map(cache.get_many, parts))
        assert found == [list(map(value_of, part)) for part in parts]
        clients = redis_server.command("INFO", "clients")
        assert b"connected_clients:5\r\n" in clients  # one of them asks this


async def test_lookups_at_once_share_a_question(redis_server: RedisServer) -> None:
    """Each request under load would cost the service and Redis a question of its own."""
    wanted = keys(100)
    async with opened(redis_server.url) as (cache, events):
        await store(cache, wanted, events)
        redis_server.command("CONFIG", "RESETSTAT")
        found = await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        assert found == [[value_of(key)] for key in wanted]
        assert events["redis_hit"] == len(wanted)
        assert b"cmdstat_mget:calls=1," in redis_server.command("INFO", "commandstats")


async def test_unix_socket() -> None:
    """A Redis beside the service on one machine could not be reached by its socket."""
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # a socket's path may have 107 bytes at most: tmp_path is too long
        path = f"{folder}/redis.sock"
        with RedisServer(options=("--unixsocket", path)):
            async with opened(f"unix://{path}") as (cache, events):
                await store(cache, keys(2), events)
                assert await cache.get_many(keys(2)) == [value_of(key) for key in keys(2)]


async def test_nothing_connects_at_construction() -> None:
    """Building the application would wait for Redis, or fail without it."""
    cache = RedisCache(RedisAccess(parse_address("redis.invalid")), ttl_s=1)
    assert cache.status == "unknown"
    await cache.aclose()
