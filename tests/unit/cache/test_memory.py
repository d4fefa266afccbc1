"""The cache in the process."""

from __future__ import annotations

from mlapi.cache.memory import MemoryCache
from mlapi.types import CacheKey

A, B, C = CacheKey(b"a"), CacheKey(b"b"), CacheKey(b"c")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_gives_back_what_was_stored_in_order() -> None:
    """A text would be given another text's answer."""
    cache = MemoryCache(10)
    cache.set_many({A: b"1", B: b"2"})
    assert await cache.get_many([B, C, A, B]) == [b"2", None, b"1", b"2"]
    assert cache.status == "ok"


def test_pushes_out_what_was_not_used_for_longest() -> None:
    """The entries in use would be pushed out while idle ones stay, or memory would grow without bound."""
    cache = MemoryCache(2)
    cache.set_many({A: b"1", B: b"2"})
    cache.get_local([A])
    cache.set_many({C: b"3"})
    assert cache.get_local([A, B, C]) == [b"1", None, b"3"]
    assert len(cache) == 2


def test_storing_again_counts_as_use() -> None:
    """An entry that was just renewed would be the next to go."""
    cache = MemoryCache(2)
    cache.set_many({A: b"1", B: b"2"})
    cache.set_many({A: b"4"})
    cache.set_many({C: b"3"})
    assert cache.get_local([A, B, C]) == [b"4", None, b"3"]


def test_bound_holds_within_one_call() -> None:
    """One large batch would take more memory than was allowed."""
    cache = MemoryCache(3)
    cache.set_many({CacheKey(b"%d" % number): b"" for number in range(100)})
    assert len(cache) == 3


def test_entries_expire() -> None:
    """An entry would be given out after its lifetime, or take room for ever."""
    clock = Clock()
    cache = MemoryCache(10, ttl_s=60, clock=clock)
    cache.set_many({A: b"1"})
    clock.now = 59.9
    cache.set_many({B: b"2"})
    assert cache.get_local([A]) == [b"1"]
    clock.now = 60.0
    assert cache.get_local([A, B]) == [None, b"2"]
    assert len(cache) == 1


def test_without_entries_it_is_off() -> None:
    """Switching the cache off would still store, or count misses of a cache that is not there."""
    events: list[tuple[str, int]] = []
    cache = MemoryCache(0, on_event=lambda *event: events.append(event))
    cache.set_many({A: b"1"})
    assert cache.get_local([A]) == [None]
    assert (cache.status, len(cache), events) == ("off", 0, [])


def test_counts_keys() -> None:
    """The hit ratio on the dashboard would be wrong."""
    events: list[tuple[str, int]] = []
    cache = MemoryCache(10, on_event=lambda *event: events.append(event))
    cache.set_many({A: b"1"})
    cache.get_local([A, B, C])
    cache.get_local([])
    assert events == [("memory_miss", 2), ("memory_hit", 1)]


async def test_closing_empties_it() -> None:
    """A closed cache would keep its memory."""
    cache = MemoryCache(10)
    cache.set_many({A: b"1"})
    await cache.aclose()
    assert len(cache) == 0


def test_recall_gives_all_or_nothing_and_counts_only_what_it_gave() -> None:
    """Requests would be answered in part, or the same misses be counted twice."""
    events: list[tuple[str, int]] = []
    cache = MemoryCache(10, on_event=lambda event, count: events.append((event, count)))
    cache.set_many({A: b"1", B: b"2"})
    assert cache.recall([B, A]) == [b"2", b"1"]
    assert cache.recall([A, C]) is None
    assert cache.recall([]) == []
    assert events == [("memory_hit", 2)]
    assert MemoryCache(0).recall([A]) is None
