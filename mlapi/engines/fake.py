"""The `fake` engine: deterministic logits from token ids, so that whole systems run without weights."""

from __future__ import annotations

import threading
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np

from mlapi.types import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class FakeEngine:
    """A `TokenEngine` whose logits depend on the token ids alone.

    It records the size of every batch, can be told to take time, to fail, or to wait until it is released, so
    that tests of batching and failure need neither a model nor luck with timing.

    Attributes:
        batches: Each call's token ids, in order of the calls.
        fail_on: Token ids whose presence in a batch makes the call raise.
        gate: While cleared, calls wait; set from the start.
    """

    name = "fake"

    def __init__(self, *, labels: int = 2, seconds: float = 0.0) -> None:
        """Make an engine.

        Args:
            labels: Number of logits per text.
            seconds: Time that each call takes.
        """
        self._labels = labels
        self._seconds = seconds
        self.batches: list[list[tuple[int, ...]]] = []
        self.fail_on: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels), spread over -4 to 4."""
        self.batches.append([tuple(ids) for ids in batch])
        self.gate.wait()
        if self._seconds:
            time.sleep(self._seconds)
        if any(not self.fail_on.isdisjoint(ids) for ids in batch):
            raise RuntimeError("the fake engine was told to fail on this batch")
        rows = [[self._logit(ids, label) for label in range(self._labels)] for ids in batch]
        return np.array(rows, dtype=np.float32)

    def close(self) -> None:
        """Hold nothing, release nothing."""

    @staticmethod
    def _logit(ids: Sequence[int], label: int) -> float:
        digest = zlib.crc32(repr((label, *ids)).encode())
        return digest / 0xFFFFFFFF * 8 - 4


class FakeTokenizer:
    """A `Tokenizer` that needs no file: one token id per word, between the ids 1 and 2.

    Attributes:
        calls: How many texts each call encoded.
    """

    def __init__(self, *, max_length: int = 512) -> None:
        """Keep the maximum length, special tokens included."""
        self._max_length = max_length
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode each text, cut to the maximum length."""
        self.calls.append(len(texts))
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoding:
        words = [self.token(word) for word in text.split()]
        kept = words[: self._max_length - 2]
        return Encoding(payload=[1, *kept, 2], length=len(kept) + 2, truncated=len(words) > len(kept))

    @staticmethod
    def token(word: str) -> int:
        """Return the token id of a word."""
        return 3 + zlib.crc32(word.encode("utf-8", "surrogatepass")) % 1_000_000
