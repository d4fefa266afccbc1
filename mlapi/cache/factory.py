"""Puts the cache together that an address asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.cache.events import ignore_event
from mlapi.cache.memory import MemoryCache
from mlapi.cache.redis import RedisCache
from mlapi.cache.tiered import TieredCache

if TYPE_CHECKING:
    from mlapi.cache.address import CacheAddress
    from mlapi.cache.events import OnEvent
    from mlapi.ports import Cache


def make_cache(
    address: CacheAddress,
    *,
    password: str | None = None,
    memory_entries: int,
    ttl_s: int,
    timeout_s: float = 0.1,
    on_event: OnEvent = ignore_event,
) -> Cache:
    """Return a cache in the process, in Redis, or in both. Nothing connects here.

    Args:
        address: Where Redis is, or `memory://` for the process alone.
        password: For Redis; comes before the address's own.
        memory_entries: How many entries the process keeps itself; 0 for none.
        ttl_s: Seconds that an entry lives, at least 1.
        timeout_s: Seconds for one lookup in Redis.
        on_event: Told of hits, misses, failures, writes and drops.
    """
    memory = MemoryCache(memory_entries, ttl_s=ttl_s, on_event=on_event)
    if address.kind == "memory":
        return memory
    redis = RedisCache(
        address,
        password=password,
        ttl_s=ttl_s,
        timeout_s=timeout_s,
        on_event=on_event,
    )
    return TieredCache(memory, redis) if memory_entries > 0 else redis
