"""The Redis cache with a password from a file, and through TLS, against a real server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import make_authority
from tests.support.redis_caches import keys, opened, store, value_of
from tests.support.redis_server import RedisServer
from tests.support.tls_proxy import TlsProxy

if TYPE_CHECKING:
    from pathlib import Path


async def test_rotated_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever changes the password of Redis would have to restart every pod."""
    caplog.set_level(logging.INFO, "mlapi")
    file = tmp_path / "password"
    file.write_text("first-hunter2\n", encoding="utf-8")
    [key] = keys(1)
    with RedisServer(password="first-hunter2") as server:
        async with opened(f"127.0.0.1:{server.port}", password_file=file) as (cache, events):
            await store(cache, [key], events)
            server.stop()
            server.password = "second-hunter2"
            server.start()
            assert await cache.get_many([key]) == [None]
            assert cache.status == "down"
            file.write_text("second-hunter2\n", encoding="utf-8")
            await store(cache, [key], events)
            assert await cache.get_many([key]) == [value_of(key)]
            assert cache.status == "ok"
    assert "hunter2" not in caplog.text


async def test_password_file_that_goes_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read for a while would fail requests, not lookups, or fail them for ever."""
    file = tmp_path / "password"
    [key] = keys(1)
    with RedisServer(password="hunter2") as server:
        async with opened(f"127.0.0.1:{server.port}", password_file=file) as (cache, events):
            for _ in range(3):
                assert await cache.get_many([key]) == [None]
            assert events["redis_unreachable"] == 3
            assert cache.status == "down"
            file.write_text("hunter2", encoding="utf-8")
            await store(cache, [key], events)
            assert await cache.get_many([key]) == [value_of(key)]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "UnreadablePassword" in caplog.text


async def test_encrypted(tmp_path: Path, redis_server: RedisServer) -> None:
    """A Redis whose certificate a company signs for itself could not be used."""
    authority = make_authority(tmp_path / "ca")
    wanted = keys(20)
    with TlsProxy(authority.server_context("DNS:localhost"), redis_server.port) as proxy:
        async with opened(f"rediss://localhost:{proxy.port}", ca_file=authority.ca_file) as (cache, events):
            await store(cache, wanted, events)
            assert await cache.get_many(wanted) == [value_of(key) for key in wanted]
            assert cache.status == "ok"


@pytest.mark.parametrize("wrong", ["authority", "system", "name"])
async def test_untrusted_certificate(
    tmp_path: Path, redis_server: RedisServer, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever gets between the service and Redis could read the password and give answers of their own."""
    authority, other = make_authority(tmp_path / "ca"), make_authority(tmp_path / "other")
    context = authority.server_context("DNS:elsewhere" if wrong == "name" else "DNS:localhost")
    trusted = {"authority": other.ca_file, "system": None, "name": authority.ca_file}[wrong]
    with TlsProxy(context, redis_server.port) as proxy:
        async with opened(f"rediss://localhost:{proxy.port}", ca_file=trusted) as (cache, events):
            assert await cache.get_many(keys(1)) == [None]
            assert cache.status == "down"
            assert events["redis_unreachable"] == 1
    assert len(caplog.records) == 1


async def test_replaced_certificates(tmp_path: Path, redis_server: RedisServer) -> None:
    """A Redis that changed its authority would be lost until every pod was restarted."""
    old, new = make_authority(tmp_path / "old"), make_authority(tmp_path / "new")
    mounted = tmp_path / "ca.pem"
    mounted.write_bytes(old.ca_file.read_bytes())
    with TlsProxy(new.server_context("DNS:localhost"), redis_server.port) as proxy:
        async with opened(f"rediss://localhost:{proxy.port}", ca_file=mounted) as (cache, events):
            assert await cache.get_many(keys(1)) == [None]
            mounted.unlink()
            mounted.write_bytes(new.ca_file.read_bytes())
            await store(cache, keys(1), events)
            assert await cache.get_many(keys(1)) == [value_of(key) for key in keys(1)]
            assert cache.status == "ok"
