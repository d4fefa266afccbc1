"""A near cache in front of a far one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mlapi.cache.memory import MemoryCache
from mlapi.cache.tiered import TieredCache
from mlapi.types import CacheKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

A, B, C = CacheKey(b"a"), CacheKey(b"b"), CacheKey(b"c")


class FarCache:
    """A `Cache` that gives way to other tasks and writes down what it was asked."""

    def __init__(self, entries: Mapping[CacheKey, bytes]) -> None:
        self.entries = dict(entries)
        self.asked: list[list[CacheKey]] = []
        self.status = "down"
        self.started = False
        self.closed = False

    def start(self) -> None:
        self.started = True

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        self.asked.append(list(keys))
        await asyncio.sleep(0)
        return [self.entries.get(key) for key in keys]

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:
        return [self.entries[key] for key in keys]

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        self.entries.update(entries)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def near() -> MemoryCache:
    """An empty near cache."""
    return MemoryCache(10)


async def test_asks_the_far_cache_only_for_the_rest(near: MemoryCache) -> None:
    """Every lookup would go over the network, or values would come back in the wrong places."""
    far = FarCache({A: b"far", B: b"2", C: b"3"})
    near.set_many({A: b"1"})
    cache = TieredCache(near, far)
    assert await cache.get_many([B, A, CacheKey(b"d"), C]) == [b"2", b"1", None, b"3"]
    assert far.asked == [[B, CacheKey(b"d"), C]]


async def test_keeps_what_the_far_cache_had(near: MemoryCache) -> None:
    """A popular text would be fetched over the network again and again."""
    far = FarCache({A: b"1"})
    cache = TieredCache(near, far)
    await cache.get_many([A, B])
    assert await cache.get_many([A]) == [b"1"]
    assert far.asked == [[A, B]]


async def test_a_full_hit_does_not_wait(near: MemoryCache) -> None:
    """A lookup that needs no network would still wait for other requests to have their turn."""
    cache = TieredCache(near, FarCache({}))
    near.set_many({A: b"1", B: b"2"})
    lookup = cache.get_many([A, B])
    with pytest.raises(StopIteration) as finished:
        lookup.send(None)
    assert finished.value.value == [b"1", b"2"]


async def test_repeated_keys(near: MemoryCache) -> None:
    """A request that names one text twice would get one answer too few."""
    cache = TieredCache(near, FarCache({A: b"1"}))
    assert await cache.get_many([A, A, B]) == [b"1", b"1", None]
    assert await cache.get_many([]) == []


async def test_writes_to_both(near: MemoryCache) -> None:
    """Other processes would compute what this one has, or this one would ask Redis for its own."""
    far = FarCache({})
    TieredCache(near, far).set_many({A: b"1"})
    assert near.get_local([A]) == [b"1"]
    assert far.entries == {A: b"1"}


async def test_start_status_and_closing_reach_the_far_cache(near: MemoryCache) -> None:
    """Health pages would call a cache well whose Redis is down, or pending writes would be lost."""
    far = FarCache({})
    cache = TieredCache(near, far)
    cache.start()
    assert far.started
    assert cache.status == "down"
    await cache.aclose()
    assert far.closed


def test_recall_asks_the_near_cache_alone(near: MemoryCache) -> None:
    """The way without waiting would wait for Redis."""
    far = FarCache({CacheKey(b"a"): b"1"})
    cache = TieredCache(near, far)
    assert cache.recall([CacheKey(b"a")]) is None
    near.set_many({CacheKey(b"a"): b"2"})
    assert cache.recall([CacheKey(b"a")]) == [b"2"]
    assert far.asked == []
