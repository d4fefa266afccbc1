"""The Redis cache against a real server, in every state that a server gets into."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mlapi.cache.address import parse_address
from mlapi.cache.redis import RedisCache
from mlapi.types import CacheKey
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TTL_S = 1_000
MUCH_TOO_LONG_S = 3.0
"""Generous next to the timeouts here, short next to what a hanging lookup would take."""


class Events(Counter[str]):
    def __call__(self, event: str, count: int) -> None:
        self[event] += count


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[tuple[RedisCache, Events]]:
    """A cache and what it reports; long timeouts, so that a busy machine fails no test."""
    events = Events()
    settings: dict[str, Any] = {
        "ttl_s": TTL_S,
        "timeout_s": 5.0,
        "connect_timeout_s": 5.0,
        "on_event": events,
    } | options
    cache = RedisCache(parse_address(url), **settings)
    try:
        yield cache, events
    finally:
        await cache.aclose()


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


async def test_absent_at_the_start_then_appearing(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The service would not start without Redis, never find it later, or write a log line per request."""
    caplog.set_level("INFO", "mlapi")
    redis_server.stop()
    wanted = keys(3)
    async with opened(redis_server.url) as (cache, events):
        for _ in range(5):
            assert await cache.get_many(wanted) == [None] * 3
        assert cache.status == "down"
        assert events["redis_unreachable"] == 5
        assert events["redis_miss"] == 15
        redis_server.start()
        await store(cache, wanted, events)
        assert None not in await cache.get_many(wanted)
        assert cache.status == "ok"
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]
    assert all(f"127.0.0.1:{redis_server.port}" in record.getMessage() for record in caplog.records)


async def test_restart_costs_no_failed_lookup(redis_server: RedisServer) -> None:
    """After a restart of Redis every old connection would fail one lookup, or be used for ever."""
    wanted = keys(20)
    async with opened(redis_server.url) as (cache, events):
        await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        redis_server.stop()
        redis_server.start()
        await asyncio.sleep(0.1)  # the event loop gets to see that the connections were closed
        await store(cache, wanted, events)
        found = await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        assert found == [[value_of(key)] for key in wanted]
        assert events["redis_unreachable"] == 0


async def test_frozen_costs_the_timeout_and_never_shifts_replies(redis_server: RedisServer) -> None:
    """A hanging Redis would hang every request, or its late replies would answer other requests' lookups."""
    wanted = keys(40)
    async with opened(redis_server.url, timeout_s=0.2, connect_timeout_s=0.2) as (cache, events):
        await store(cache, wanted, events)
        await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        redis_server.freeze()
        started = time.monotonic()
        found = await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        assert time.monotonic() - started < MUCH_TOO_LONG_S
        assert found == [[None]] * len(wanted)
        assert cache.status == "down"
        assert events["redis_timeout"] == len(wanted)
        redis_server.thaw()
        answers: dict[CacheKey, bytes] = {}
        async with asyncio.timeout(20):
            while len(answers) < len(wanted):  # on a busy machine some lookups may still be too slow
                for key in wanted:
                    [value] = await cache.get_many([key])
                    if value is not None:
                        answers[key] = value
        assert answers == {key: value_of(key) for key in wanted}
        assert cache.status == "ok"


async def test_abandoned_lookups_leave_no_reply_behind(redis_server: RedisServer) -> None:
    """After a client hung up, the next request would be given the reply to that client's question."""
    wanted = keys(10)
    async with opened(redis_server.url, max_connections=2) as (cache, events):
        await store(cache, wanted, events)
        for round_ in range(10):
            redis_server.freeze()
            abandoned = [asyncio.create_task(cache.get_many([key])) for key in wanted]
            await asyncio.sleep(0.01)
            for task in abandoned:
                task.cancel()
                task.cancel()
            await asyncio.gather(*abandoned, return_exceptions=True)
            assert all(task.cancelled() for task in abandoned)
            redis_server.thaw()
            key = wanted[round_]
            assert await cache.get_many([key]) == [value_of(key)]
        assert cache.status == "ok"


@pytest.mark.parametrize("password", [None, "wrong-hunter2"])
async def test_login_refused_is_a_miss(password: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password would fail requests instead of the cache, or be written to the log."""
    caplog.set_level("DEBUG")
    with RedisServer(password="hunter2") as server:
        url = f"redis://127.0.0.1:{server.port}"
        async with opened(url, password=password) as (cache, events):
            assert await cache.get_many(keys(1)) == [None]
            assert cache.status == "down"
            assert events["redis_refused"] == 1
            cache.set_many({keys(1)[0]: b"1"})
        assert events["redis_dropped"] == 1
    assert "hunter2" not in caplog.text
    assert "AuthenticationError" in caplog.text


@pytest.mark.parametrize("separate", [False, True])
async def test_login(separate: bool) -> None:
    """A Redis that wants a password could not be used, in the address or beside it."""
    with RedisServer(password="p@ss word") as server:
        url = f"redis://127.0.0.1:{server.port}/3" if separate else f"{server.url}/3"
        async with opened(url, password="p@ss word" if separate else None) as (cache, events):
            await store(cache, keys(2), events)
            assert await cache.get_many(keys(2)) == [value_of(key) for key in keys(2)]
        assert b"db3:keys=2" in server.command("INFO", "keyspace")


async def test_full_memory_refuses_writes_and_answers_reads(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A full Redis would be taken for a dead one, or fill the log."""
    caplog.set_level("INFO", "mlapi")
    old, new, newer = keys(3)
    async with opened(redis_server.url) as (cache, events):
        await store(cache, [old], events)
        redis_server.command("CONFIG", "SET", "maxmemory", "1")
        for key in (new, newer):
            cache.set_many({key: b"1"})
            assert await cache.get_many([old, key]) == [value_of(old), None]
            await asyncio.sleep(0.05)
        assert cache.status == "ok"
    assert events["redis_dropped"] == 2
    assert events["redis_written"] == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "OutOfMemoryError" in caplog.text


async def test_forbidden_lookups_are_misses_and_said_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis account without the right to read would look like a cold cache for ever."""
    redis_server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+set")
    async with opened(f"redis://app:pw@127.0.0.1:{redis_server.port}") as (cache, events):
        for _ in range(3):
            assert await cache.get_many(keys(2)) == [None, None]
        assert cache.status == "down"
    assert events["redis_refused"] == 3
    assert len(caplog.records) == 1
    assert "NoPermissionError" in caplog.text


async def test_many_lookups_at_once_share_few_connections(redis_server: RedisServer) -> None:
    """Under load lookups would be answered with each other's values, or use up Redis's connections."""
    wanted = keys(400)
    async with opened(redis_server.url, max_connections=4) as (cache, events):
        await store(cache, wanted, events)
        pairs = [[key, wanted[-place]] for place, key in enumerate(wanted)]
        found = await asyncio.gather(*(cache.get_many(pair) for pair in pairs))
        assert found == [[value_of(one), value_of(other)] for one, other in pairs]
        clients = redis_server.command("INFO", "clients")
        assert b"connected_clients:5\r\n" in clients  # one of them asks this


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


async def test_one_failure_closes_all_idle_connections(redis_server: RedisServer) -> None:
    """After a failover each of the old connections would cost some request a timeout."""
    wanted = keys(8)
    async with opened(redis_server.url, timeout_s=0.5) as (cache, _):
        await asyncio.gather(*(cache.get_many([key]) for key in wanted))
        redis_server.freeze()
        await cache.get_many(wanted)
        redis_server.thaw()
        await only_client(redis_server)


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
    cache = RedisCache(parse_address("redis.invalid"), ttl_s=1)
    assert cache.status == "ok"
    await cache.aclose()


async def test_name_that_does_not_resolve_is_a_miss() -> None:
    """A Redis service that was not created yet would fail every request."""
    async with opened("redis.invalid") as (cache, events):
        assert await cache.get_many(keys(1)) == [None]
        assert cache.status == "down"
        assert events["redis_unreachable"] == 1
