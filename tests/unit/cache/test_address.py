"""Spellings of the cache's address."""

from __future__ import annotations

import pytest

from mlapi.cache.address import CacheAddress, parse_address
from mlapi.errors import ConfigurationError


def tcp(host: str, port: int = 6379, **more: str | int | bool) -> CacheAddress:
    """Return the address of a server."""
    return CacheAddress("tcp", host=host, port=port, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spelling", "address"),
    [
        ("", CacheAddress("memory")),
        (" \n", CacheAddress("memory")),
        ("memory://", CacheAddress("memory")),
        ("MEMORY://", CacheAddress("memory")),
        ("redis", tcp("redis")),
        ("redis:6380", tcp("redis", 6380)),
        ("redis:", tcp("redis")),
        ("redis/2", tcp("redis", db=2)),
        ("  redis.default.svc.cluster.local:6379\n", tcp("redis.default.svc.cluster.local")),
        ("redis-master_1", tcp("redis-master_1")),
        ("redis.example.com.", tcp("redis.example.com.")),
        ("10.0.0.7:7000", tcp("10.0.0.7", 7000)),
        ("redis://redis", tcp("redis")),
        ("redis://redis/", tcp("redis")),
        ("Redis://Redis:6380/3", tcp("Redis", 6380, db=3)),
        ("redis://redis?db=4", tcp("redis", db=4)),
        ("redis://redis/1?db=4", tcp("redis", db=4)),
        ("rediss://cache.example.com:6380", tcp("cache.example.com", 6380, tls=True)),
        ("[::1]", tcp("::1")),
        ("[::1]:6380", tcp("::1", 6380)),
        ("::1", tcp("::1")),
        ("redis://[fd00::7]:6380/1", tcp("fd00::7", 6380, db=1)),
        ("redis://[fe80::1%25eth0]", tcp("fe80::1%eth0")),
        ("redis://:secret@redis", tcp("redis", password="secret")),
        ("redis://app:secret@redis:1", tcp("redis", 1, username="app", password="secret")),
        ("redis://app@redis", tcp("redis", username="app")),
        ("redis://@redis", tcp("redis")),
        ("redis://:@redis", tcp("redis")),
        (":secret@redis:6380", tcp("redis", 6380, password="secret")),
        ("redis://a%3Ab:p%40ss%2Fw%20%25@redis", tcp("redis", username="a:b", password="p@ss/w %")),
        ("redis://:p@ss/w:o?r#d@redis/5", tcp("redis", password="p@ss/w:o?r#d", db=5)),
        ("unix:///run/redis.sock", CacheAddress("unix", path="/run/redis.sock")),
        ("unix:///run/my%20redis.sock?db=2", CacheAddress("unix", path="/run/my redis.sock", db=2)),
        ("unix://app:pw@/run/r", CacheAddress("unix", path="/run/r", username="app", password="pw")),
    ],
)
def test_reads(spelling: str, address: CacheAddress) -> None:
    """A spelling that people use would be refused or would lead to another server."""
    assert parse_address(spelling) == address


@pytest.mark.parametrize(
    "spelling",
    [
        "redis://",
        "redis://:6379",
        "redis://:hunter2@",
        "redis://:hunter2@:6379",
        "redis://:hunter2@redis:port",
        "redis://:hunter2@redis:0",
        "redis://:hunter2@redis:65536",
        "redis://:hunter2@redis:-1",
        "redis://:hunter2@redis:6379/zero",
        "redis://:hunter2@redis/-1",
        "redis://:hunter2@redis/1/2",
        "redis://:hunter2@redis?ssl_cert_reqs=none",
        "redis://:hunter2@re dis",
        "redis://:hunter2@[::1",
        "redis://:hunter2@[::1]x",
        "redis://:hunter2@[nonsense]",
        "redis://:hunter2@-redis",
        "redis:6379,password=hunter2",
        "redis+sentinel://:hunter2@redis",
        "http://:hunter2@redis",
        "memory://hunter2",
        "redis://:hunter2%zz@redis",
        "unix://hunter2",
        "unix://",
    ],
)
def test_refuses_and_says_what_is_accepted(spelling: str) -> None:
    """A mistyped address would be taken for another one, or its password would be printed at the start."""
    with pytest.raises(ConfigurationError) as refusal:
        parse_address(spelling)
    assert "REDIS_URL" in str(refusal.value)
    assert "rediss://" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("spelling", "redacted"),
    [
        ("", "memory://"),
        ("redis", "redis://redis:6379/0"),
        ("redis://app:hunter2@redis/1", "redis://***@redis:6379/1"),
        ("redis://hunter2@redis", "redis://***@redis:6379/0"),
        ("rediss://:hunter2@[::1]:1", "rediss://***@[::1]:1/0"),
        ("unix://:hunter2@/run/r?db=1", "unix://***@/run/r?db=1"),
        ("unix:///run/r", "unix:///run/r"),
    ],
)
def test_redacted_tells_the_place_and_no_secret(spelling: str, redacted: str) -> None:
    """Logs would hold the password, or not say which server they speak of."""
    assert parse_address(spelling).redacted == redacted


def test_repr_has_no_password() -> None:
    """A traceback or a debugging print would show the password."""
    assert "hunter2" not in repr(parse_address("redis://app:hunter2@redis"))
