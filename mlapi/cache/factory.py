"""Puts the cache together that an address asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.cache.events import ignore_event
from mlapi.cache.memory import MemoryCache
from mlapi.cache.redis import RedisCache
from mlapi.cache.tiered import TieredCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlapi.cache.access import RedisAccess
    from mlapi.cache.events import OnEvent
    from mlapi.ports import Cache


def make_cache(
    access: RedisAccess,
    *,
    memory_entries: int,
    ttl_s: int,
    timeout_s: float = 0.1,
    on_event: OnEvent = ignore_event,
    on_status: Callable[[bool], None] = lambda _up: None,
) -> Cache:
    """Return a cache in the process, in Redis, or in both. Nothing connects here.

    Args:
        access: Where Redis is and how to get in, or `memory://` for the process alone.
        memory_entries: How many entries the process keeps itself; 0 for none.
        ttl_s: Seconds that an entry lives, at least 1.
        timeout_s: Seconds for one lookup in Redis.
        on_event: Told of hits, misses, failures, writes and drops.
        on_status: Told whether Redis is of use, where there is one: once that is known, and at each change.
    """
    memory = MemoryCache(memory_entries, ttl_s=ttl_s, on_event=on_event)
    if access.address.kind == "memory":
        return memory
    redis = RedisCache(
        access,
        ttl_s=ttl_s,
        timeout_s=timeout_s,
        on_event=on_event,
        on_status=on_status,
    )
    return TieredCache(memory, redis) if memory_entries > 0 else redis
