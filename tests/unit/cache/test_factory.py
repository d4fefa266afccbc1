"""Which cache an address gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address
from mlapi.cache.factory import make_cache
from mlapi.cache.memory import MemoryCache
from mlapi.cache.redis import RedisCache
from mlapi.cache.tiered import TieredCache


@pytest.mark.parametrize(
    ("address", "memory_entries", "kind"),
    [
        ("memory://", 10, MemoryCache),
        ("redis", 10, TieredCache),
        ("redis", 0, RedisCache),
        ("unix:///run/redis.sock", 10, TieredCache),
    ],
)
async def test_kind_of_cache(address: str, memory_entries: int, kind: type) -> None:
    """A setting would be ignored: Redis unused, or no cache in the process in front of it."""
    cache = make_cache(RedisAccess(parse_address(address)), memory_entries=memory_entries, ttl_s=60)
    assert type(cache) is kind
    await cache.aclose()


async def test_no_cache_at_all() -> None:
    """Switching every cache off would be reported as a cache that works."""
    assert make_cache(RedisAccess(parse_address("")), memory_entries=0, ttl_s=60).status == "off"


def test_client_library_is_not_loaded_before_it_is_needed() -> None:
    """The service would start more slowly, and not at all where redis-py is missing and not wanted."""
    program = "import sys, mlapi.cache.factory; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
