"""How Redis is, known without a single lookup."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from tests.support.fakes import eventually
from tests.support.redis_caches import MUCH_TOO_LONG_S, keys, opened
from tests.support.redis_server import RedisServer

APP = ("ACL", "SETUSER", "app", "on", ">pw", "~*")
OFTEN: dict[str, Any] = {"heartbeat_s": 0.05, "timeout_s": 0.5, "connect_timeout_s": 0.5}


async def test_changes_are_noticed_without_traffic(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An idle pod would say that its cache is well long after Redis is gone, or the other way round."""
    caplog.set_level(logging.INFO, "mlapi")
    told: list[bool] = []
    redis_server.stop()
    async with opened(redis_server.url, on_status=told.append, **OFTEN) as (cache, events):
        cache.start()
        await eventually(lambda: told == [False])
        assert cache.status == "down"
        redis_server.start()
        await eventually(lambda: told == [False, True])
        assert cache.status == "ok"
        redis_server.freeze()
        await eventually(lambda: told == [False, True, False])
        redis_server.thaw()
        await eventually(lambda: told == [False, True, False, True])
        redis_server.stop()
        await eventually(lambda: told == [False, True, False, True, False])
        await eventually(lambda: events["redis_unreachable"] >= 5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2 + ["WARNING"]
    assert told[-1] is False
    assert len(told) == 5


async def test_a_lookup_tells_too(redis_server: RedisServer) -> None:
    """Between two looks the metric would say the opposite of what requests see."""
    told: list[bool] = []
    async with opened(redis_server.url, on_status=told.append, heartbeat_s=3_600) as (cache, _):
        cache.start()
        await eventually(lambda: told == [True])
        redis_server.stop()
        await cache.get_many(keys(1))
        assert told == [True, False]


async def test_one_connection_serves_all_looks_until_the_end(redis_server: RedisServer) -> None:
    """A fleet of idle pods would keep Redis busy with logins, or a closed cache would go on asking."""
    told: list[bool] = []
    async with opened(redis_server.url, on_status=told.append, **OFTEN) as (cache, _):
        cache.start()
        await eventually(lambda: told == [True])
        connections, pings = _connections(redis_server), _pings(redis_server)
        await asyncio.sleep(0.5)
        assert _connections(redis_server) == connections + 2  # those of the two questions since
        assert _pings(redis_server) >= pings + 2
    pings = _pings(redis_server)
    await asyncio.sleep(0.3)
    assert _pings(redis_server) == pings


async def test_looking_at_a_frozen_server_holds_nothing_up(redis_server: RedisServer) -> None:
    """While Redis hangs, the end of the process would wait for it, or lookups for their turn."""
    told: list[bool] = []
    options: dict[str, Any] = {"heartbeat_s": 0.01, "timeout_s": 0.2, "connect_timeout_s": 60}
    async with opened(redis_server.url, on_status=told.append, **options) as (cache, _):
        cache.start()
        await eventually(lambda: told == [True])
        redis_server.freeze()
        await eventually(lambda: cache.status == "down")
        started = time.monotonic()
        assert await asyncio.gather(*(cache.get_many(keys(1)) for _ in range(10))) == [[None]] * 10
        assert time.monotonic() - started < MUCH_TOO_LONG_S
        started = time.monotonic()
        await cache.aclose()
        assert time.monotonic() - started < MUCH_TOO_LONG_S


async def test_one_late_reply_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Each hiccup of the network or of the event loop would be two lines in the log, or an alert."""
    asked: list[int] = []
    ended: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(0)
        first = len(asked) == 1
        while await reader.read(65_536):
            if not first:
                asked[-1] += 1
                writer.write(b"+PONG\r\n" if asked[-1] != 2 else b"*1\r\n$-1\r\n")  # the second is a lookup
        writer.close()
        await writer.wait_closed()
        ended.append(0)

    told: list[bool] = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(f"127.0.0.1:{port}", on_status=told.append, **OFTEN) as (cache, _):
            cache.start()
            await eventually(lambda: len(asked) == 2 and asked[1] > 3)
            assert (told, cache.status) == ([True], "ok")
        await eventually(lambda: len(ended) == len(asked))
    assert caplog.records == []


async def test_refused_login(caplog: pytest.LogCaptureFixture) -> None:
    """A pod with the wrong password would look well until its first request."""
    with RedisServer(password="hunter2") as server:
        url = f"127.0.0.1:{server.port}"
        async with opened(url, password="wrong", **OFTEN) as (cache, events):
            cache.start()
            await eventually(lambda: cache.status == "down")
            await eventually(lambda: events["redis_refused"] >= 2)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_lookups_that_are_not_allowed(redis_server: RedisServer) -> None:
    """An idle pod whose account may not read would look well, or stay down after it got the right."""
    told: list[bool] = []
    redis_server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+ping")
    url = f"redis://app:pw@127.0.0.1:{redis_server.port}"
    async with opened(url, on_status=told.append, **OFTEN) as (cache, events):
        cache.start()
        await eventually(lambda: events["redis_refused"] >= 2)
        assert (told, cache.status) == ([False], "down")
        redis_server.command("ACL", "SETUSER", "app", "+mget")
        await eventually(lambda: told == [False, True])
        assert cache.status == "ok"
        asked = _lookups(redis_server)
        pings = _pings(redis_server)
        await eventually(lambda: _pings(redis_server) >= pings + 3)
        assert _lookups(redis_server) == asked
        assert events["redis_miss"] == 0


async def test_lookups_that_a_new_connection_may_not_make(redis_server: RedisServer) -> None:
    """After Redis came back with other rights, an idle pod would look well and have no cache."""
    told: list[bool] = []
    async with opened(f"redis://app:pw@127.0.0.1:{redis_server.port}", on_status=told.append, **OFTEN) as (
        cache,
        _,
    ):
        redis_server.command(*APP, "+ping", "+mget")
        cache.start()
        await eventually(lambda: told == [True])
        redis_server.command(*APP, "+ping", "-mget")
        redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await eventually(lambda: told == [True, False])
        redis_server.command(*APP, "+mget")
        await eventually(lambda: told == [True, False, True])


async def test_before_the_first_look_nothing_is_known(redis_server: RedisServer) -> None:
    """A pod that has just started would call a Redis well that it has never reached."""
    told: list[bool] = []
    redis_server.freeze()
    async with opened(redis_server.url, on_status=told.append, heartbeat_s=0.05) as (cache, _):
        assert cache.status == "unknown"
        cache.start()
        await asyncio.sleep(0.05)
        assert (cache.status, told) == ("unknown", [])
        redis_server.thaw()
        await eventually(lambda: cache.status == "ok")
        assert told == [True]


@pytest.mark.parametrize("absent", [False, True])
async def test_a_lookup_before_the_first_look_tells(redis_server: RedisServer, absent: bool) -> None:
    """Once a request has used Redis, its state would still be called unknown, or not be measured."""
    told: list[bool] = []
    if absent:
        redis_server.stop()
    async with opened(redis_server.url, on_status=told.append) as (cache, _):
        await cache.get_many(keys(1))
        assert (cache.status, told) == (("down", [False]) if absent else ("ok", [True]))


def _lookups(server: RedisServer) -> int:
    return _number(server.command("INFO", "commandstats"), b"cmdstat_mget:calls=")


def _pings(server: RedisServer) -> int:
    return _number(server.command("INFO", "commandstats"), b"cmdstat_ping:calls=")


def _connections(server: RedisServer) -> int:
    return _number(server.command("INFO", "stats"), b"total_connections_received:")


def _number(report: bytes, name: bytes) -> int:
    _, found, rest = report.partition(name)
    return int(rest.replace(b",", b"\r").split(b"\r")[0]) if found else 0
