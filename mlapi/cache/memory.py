"""The cache in this process: a bounded dictionary that forgets what was not used for longest."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from mlapi.cache.events import ignore_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlapi.cache.events import OnEvent
    from mlapi.types import CacheKey


class MemoryCache:
    """A least-recently-used `Cache`. Used from one event loop; never waits, never fails."""

    def __init__(
        self,
        max_entries: int,
        *,
        ttl_s: float | None = None,
        on_event: OnEvent = ignore_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty cache.

        Args:
            max_entries: How many entries to keep, each about 0.4 kB; 0 switches the cache off.
            ttl_s: Seconds after which an entry is no longer given out; None keeps it until it is pushed out.
            on_event: Told of every hit and miss.
            clock: Seconds from any start.
        """
        self._max_entries = max_entries
        self._ttl_s = math.inf if ttl_s is None else ttl_s
        self._on_event = on_event
        self._clock = clock
        self._entries: OrderedDict[CacheKey, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def status(self) -> str:
        """`ok`, or `off` where the cache keeps nothing."""
        return "ok" if self._max_entries > 0 else "off"

    def start(self) -> None:
        """Do nothing: there is nothing to watch."""

    def get_local(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look all keys up, without an `await`; None in the place of each that is not there."""
        if self._max_entries <= 0 or not keys:
            return [None] * len(keys)
        now = self._clock()
        found = [self._get(key, now) for key in keys]
        misses = found.count(None)
        if misses:
            self._on_event("memory_miss", misses)
        if misses < len(found):
            self._on_event("memory_hit", len(found) - misses)
        return found

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:
        """Return every value if all are here; None, without counting any, if not."""
        if self._max_entries <= 0:
            return None
        now = self._clock()
        found: list[bytes] = []
        for key in keys:
            value = self._get(key, now)
            if value is None:
                return None
            found.append(value)
        if found:
            self._on_event("memory_hit", len(found))
        return found

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look all keys up; never gives way to another task."""
        return self.get_local(keys)

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        """Keep the entries, and push out what was not used for longest."""
        if self._max_entries <= 0:
            return
        expires = self._clock() + self._ttl_s
        for key, value in entries.items():
            self._entries[key] = (value, expires)
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    async def aclose(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _get(self, key: CacheKey, now: float) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if expires <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value
