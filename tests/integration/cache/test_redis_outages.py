"""The Redis cache against a server that is absent, restarted, frozen, full or unwilling."""

from __future__ import annotations

import asyncio
import time

import pytest

from mlapi.types import CacheKey
from tests.support.redis_caches import MUCH_TOO_LONG_S, apart, keys, only_client, opened, store, value_of
from tests.support.redis_server import RedisServer


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
        await asyncio.gather(*map(cache.get_many, apart(wanted)))
        redis_server.stop()
        redis_server.start()
        await asyncio.sleep(0.1)  # the event loop gets to see that the connections were closed
        await store(cache, wanted, events)
        found = await asyncio.gather(*map(cache.get_many, apart(wanted)))
        assert [values[0] for values in found] == [value_of(key) for key in wanted]
        assert events["redis_unreachable"] == 0


async def test_frozen_costs_the_timeout_and_never_shifts_replies(redis_server: RedisServer) -> None:
    """A hanging Redis would hang every request, or its late replies would answer other requests' lookups."""
    wanted = keys(40)
    async with opened(redis_server.url, timeout_s=0.2, connect_timeout_s=0.2) as (cache, events):
        await store(cache, wanted, events)
        parts = apart(wanted)
        await asyncio.gather(*map(cache.get_many, parts))
        before = events["redis_timeout"]  # on a busy machine
        redis_server.freeze()
        started = time.monotonic()
        found = await asyncio.gather(*map(cache.get_many, parts))
        assert time.monotonic() - started < MUCH_TOO_LONG_S
        assert found == [[None] * len(part) for part in parts]
        assert cache.status == "down"
        assert events["redis_timeout"] - before == len(wanted)
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


async def test_frozen_costs_each_of_those_who_share_a_question_the_timeout(redis_server: RedisServer) -> None:
    """Whoever gathers behind a question that hangs would wait for its timeout, and then for another."""
    wanted = keys(12)
    async with opened(redis_server.url, timeout_s=1.0) as (cache, events):
        await store(cache, wanted, events)
        redis_server.freeze()

        async def timed(key: CacheKey, after: float) -> float:
            await asyncio.sleep(after)
            started = time.monotonic()
            assert await cache.get_many([key]) == [None]
            return time.monotonic() - started

        times = await asyncio.gather(*(timed(key, 0.02 * place) for place, key in enumerate(wanted)))
        assert max(times) < 1.8  # and not twice the timeout
        redis_server.thaw()


@pytest.mark.parametrize("together", [True, False], ids=["one question", "a question each"])
async def test_abandoned_lookups_leave_no_reply_behind(redis_server: RedisServer, together: bool) -> None:
    """After a client hung up, the next request would be given the reply to that client's question."""
    wanted = keys(10)
    async with opened(redis_server.url, max_connections=2) as (cache, events):
        await store(cache, wanted, events)
        for round_ in range(10):
            redis_server.freeze()
            lookups = [[key] for key in wanted] if together else apart(wanted)
            abandoned = [asyncio.create_task(cache.get_many(part)) for part in lookups]
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


async def test_one_failure_closes_all_idle_connections(redis_server: RedisServer) -> None:
    """After a failover each of the old connections would cost some request a timeout."""
    wanted = keys(8)
    async with opened(redis_server.url, timeout_s=0.5) as (cache, _):
        await asyncio.gather(*map(cache.get_many, apart(wanted)))
        redis_server.freeze()
        await cache.get_many(wanted)
        redis_server.thaw()
        await only_client(redis_server)


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


async def test_name_that_does_not_resolve_is_a_miss() -> None:
    """A Redis service that was not created yet would fail every request."""
    async with opened("redis.invalid") as (cache, events):
        assert await cache.get_many(keys(1)) == [None]
        assert cache.status == "down"
        assert events["redis_unreachable"] == 1
