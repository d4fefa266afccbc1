"""What caches report about themselves, for whoever counts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

CacheEvent = Literal[
    "memory_hit",
    "memory_miss",
    "redis_hit",
    "redis_miss",
    "redis_timeout",
    "redis_unreachable",
    "redis_refused",
    "redis_written",
    "redis_dropped",
]
"""What happened.

- `memory_hit`, `memory_miss`, `redis_hit`, `redis_miss`: keys that a tier was asked for, each counted as
  one of the two; behind a memory tier, Redis is asked for that tier's misses. The keys of a failed lookup
  are misses.
- `redis_timeout`, `redis_unreachable`, `redis_refused`: exchanges with Redis that failed, because no reply
  came in time, there was no connection, or Redis replied with an error (a wrong password, full memory).
- `redis_written`, `redis_dropped`: entries that Redis took, and entries given up.
"""

OnEvent = Callable[[CacheEvent, int], None]
"""Called on the event loop with an event and how often it happened, at least once."""


def ignore_event(event: CacheEvent, count: int) -> None:
    """Count nothing."""
