"""A cache in this process in front of one that many processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlapi.cache.memory import MemoryCache
    from mlapi.ports import Cache
    from mlapi.types import CacheKey


class TieredCache:
    """Asks the near cache first and the far one only for the rest, which the near one then keeps.

    An entry read from the far cache starts a new lifetime in the near one. That makes no answer stale: a key
    names the model that gave it, and the same text always gets the same answer from the same model.
    """

    def __init__(self, near: MemoryCache, far: Cache) -> None:
        """Join the two; both are closed with this one.

        Args:
            near: Looked up without waiting.
            far: Asked for what `near` does not have.
        """
        self._near = near
        self._far = far

    @property
    def status(self) -> str:
        """The far cache's: `ok`, `down`, `off` or `unknown`."""
        return self._far.status

    def start(self) -> None:
        """Start both."""
        self._near.start()
        self._far.start()

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look all keys up; gives way to other tasks only when the near cache lacks one of them."""
        values = self._near.get_local(keys)
        if None not in values:
            return values
        places = [place for place, value in enumerate(values) if value is None]
        fetched = await self._far.get_many([keys[place] for place in places])
        found: dict[CacheKey, bytes] = {}
        for place, value in zip(places, fetched, strict=True):
            if value is not None:
                values[place] = found[keys[place]] = value
        if found:
            self._near.set_many(found)
        return values

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:
        """Return every value if the near cache holds them all; None, without counting any, if not."""
        return self._near.recall(keys)

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        """Store the entries in both."""
        self._near.set_many(entries)
        self._far.set_many(entries)

    async def aclose(self) -> None:
        """Close the far cache, which may have writes to finish, then the near one."""
        await self._far.aclose()
        await self._near.aclose()
