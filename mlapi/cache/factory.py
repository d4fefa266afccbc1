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
    ttl_jitter: float = 0.1,
    timeout_s: float = 0.1,
    connect_timeout_s: float = 0.5,
    max_pending: int = 10_000,
    max_connections: int = 16,
    on_event: OnEvent = ignore_event,
) -> Cache:
    """Return a cache in the process, in Redis, or in both. Nothing connects here.

    Args:
        address: Where Redis is, or `memory://` for the process alone.
        password: For Redis; comes before the address's own.
        memory_entries: How many entries the process keeps itself; 0 for none.
        ttl_s: Seconds that an entry lives, at least 1.
        ttl_jitter: Fraction, from 0 to below 1, by which each life in Redis is randomly longer or shorter.
        timeout_s: Seconds for one lookup in Redis.
        connect_timeout_s: Seconds for one attempt to connect to Redis.
        max_pending: Entries that wait to be written to Redis.
        max_connections: How many exchanges with Redis run at once.
        on_event: Told of hits, misses, failures, writes and drops.
    """
    memory = MemoryCache(memory_entries, ttl_s=ttl_s, on_event=on_event)
    if address.kind == "memory":
        return memory
    redis = RedisCache(
        address,
        password=password,
        ttl_s=ttl_s,
        ttl_jitter=ttl_jitter,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        max_pending=max_pending,
        max_connections=max_connections,
        on_event=on_event,
    )
    return TieredCache(memory, redis) if memory_entries > 0 else redis
