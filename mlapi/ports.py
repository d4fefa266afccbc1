"""The seams: what the core needs from tokenizers, engines and caches, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlapi.types import CacheKey, Encoding, Lane


class Tokenizer(Protocol):
    """Turns texts into token ids. Called from several threads at once."""

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode each text with special tokens, cut to the model's maximum length, unpadded."""
        ...


@runtime_checkable
class TokenEngine(Protocol):
    """Runs a model on token ids. Called from one thread at a time."""

    name: str

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels); the engine pads on the right and masks.

        Raises:
            Exception: Whatever the runtime raises; the caller turns it into an `EngineError`.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds. No call follows."""
        ...


@runtime_checkable
class SharedEngine(TokenEngine, Protocol):
    """A `TokenEngine` that can also do several calls beside each other.

    Attributes:
        calls: From how many threads at a time `infer_beside` may be called, while `infer` is not.
    """

    calls: int

    def infer_beside(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return what `infer` returns, with one call's share of the machine."""
        ...

    def find_threads(self) -> frozenset[int]:
        """Return in which threads `infer_beside` computes, by the kernel's ids; none if that is unknown.

        No other call may run meanwhile.
        """
        ...


class TextEngine(Protocol):
    """Runs a model that does its own reading of the text. Called from one thread at a time."""

    name: str

    def infer_texts(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels)."""
        ...

    def close(self) -> None:
        """Release what the engine holds. No call follows."""
        ...


class Cache(Protocol):
    """Stores encoded predictions. Never raises: a failure is a miss, or a write that did not happen."""

    def start(self) -> None:
        """Begin what goes on beside the lookups. Needs a running event loop; lookups do not need it."""
        ...

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        """Look all keys up at once; None in the place of each that is not there."""
        ...

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:
        """Return every value if this process holds them all, without waiting; None, uncounted, if not."""
        ...

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        """Store the entries, behind the caller's back where that takes time."""
        ...

    async def aclose(self) -> None:
        """Finish pending writes within a bounded time and release connections."""
        ...

    @property
    def status(self) -> str:
        """One word for health pages: `ok`, `down`, `off`, or `unknown` before it was ever used."""
        ...


class BatchObserver(Protocol):
    """Who wants to know what the batcher does; `mlapi.metrics` does."""

    def batch_done(self, *, texts: int, padded_tokens: int, tokens: int, seconds: float) -> None:
        """Note one engine call that gave answers."""
        ...

    def batch_failed(self) -> None:
        """Note one engine call that failed."""
        ...

    def refused(self, reason: str) -> None:
        """Note a request that was not admitted, or a text that was dropped."""
        ...

    def queue_changed(self, lane: Lane, *, texts: int, tokens: int) -> None:
        """Note how long a lane is now."""
        ...
