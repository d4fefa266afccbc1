"""Hand-written stand-ins for the core's neighbours, for tests whose subject is the core itself."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from mlapi.batching import Batcher
from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.lanes import BatchRun, Job
from mlapi.predictor import Predictor
from mlapi.slots import Slots
from mlapi.types import CacheKey, Encoding, Lane, ModelInfo, ModelVersion, Probabilities, VariantId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

PATIENCE_S = 10.0
"""How long a test waits for something that must happen; far longer than it ever takes."""

INFO = ModelInfo(
    name="fake",
    version=ModelVersion("0" * 16),
    variant="fake",
    variant_id=VariantId("1" * 16),
    engine="fake",
    labels=("NEGATIVE", "POSITIVE"),
    max_length=512,
    activation="softmax",
)


class RecordingObserver:
    """Keeps what the batcher reports."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures = 0
        self.reasons: list[str] = []
        self.depth: dict[Lane, tuple[int, int]] = {}

    def batch_done(self, *, texts: int, padded_tokens: int, tokens: int, seconds: float) -> None:
        assert padded_tokens >= tokens
        assert seconds >= 0
        self.batches.append(texts)

    def batch_failed(self) -> None:
        self.failures += 1

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)

    def queue_changed(self, lane: Lane, *, texts: int, tokens: int) -> None:
        self.depth[lane] = (texts, tokens)


class RecordingJob(Job):
    """A job that keeps how it ended."""

    def __init__(self, length: int, *, lane: Lane = Lane.INTERACTIVE, deadline: float | None = None) -> None:
        super().__init__(lane=lane, deadline=time.monotonic() + 60 if deadline is None else deadline)
        self.encoding = Encoding(payload=[length] * length, length=length, truncated=False)
        self.answer: Probabilities | None = None
        self.error: Exception | None = None
        self.ended = asyncio.Event()

    def resolve(self, probabilities: Probabilities, run: BatchRun) -> None:
        assert run.seconds >= 0
        self.answer = probabilities
        self.ended.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.ended.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self.ended.wait(), PATIENCE_S)


class DictCache:
    """A cache that is a dictionary, can be slow to answer, and keeps what it was asked."""

    status = "ok"

    def __init__(self) -> None:
        self.entries: dict[CacheKey, bytes] = {}
        self.lookups: list[int] = []
        self.started = False
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    def start(self) -> None:
        self.started = True

    async def get_many(self, keys: Sequence[CacheKey]) -> list[bytes | None]:
        self.lookups.append(len(keys))
        found = [self.entries.get(key) for key in keys]
        await self.gate.wait()
        return found

    def recall(self, keys: Sequence[CacheKey]) -> list[bytes] | None:
        found = [self.entries[key] for key in keys if key in self.entries]
        return found if len(found) == len(keys) else None

    def set_many(self, entries: Mapping[CacheKey, bytes]) -> None:
        self.entries.update(entries)

    async def aclose(self) -> None:
        self.closed = True


class SharedFakeEngine(FakeEngine):
    """A fake engine that does two calls beside each other, and keeps how each was done.

    Attributes:
        ways: `alone` or `beside` for each call, in order of their starts.
        most: Calls that ran at a time, at most.
        overlaps: How often something ran beside a call with all threads.
    """

    calls = 2

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[str] = []
        self.most = 0
        self.overlaps = 0
        self._now: list[str] = []
        self._lock = threading.Lock()

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        return self._noted("alone", batch)

    def find_threads(self) -> frozenset[int]:
        return frozenset()

    def infer_beside(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        return self._noted("beside", batch)

    def _noted(self, way: str, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        with self._lock:
            self.ways.append(way)
            self._now.append(way)
            self.most = max(self.most, len(self._now))
            self.overlaps += len(self._now) > 1 and "alone" in self._now
        try:
            return super().infer(batch)
        finally:
            with self._lock:
                self._now.remove(way)


class Rig:
    """A predictor with a fake engine behind it and everything in reach of the test."""

    def __init__(self, *, window: int = 8, engine: FakeEngine | None = None, **limits: Any) -> None:
        self.engine = engine or FakeEngine()
        self.tokenizer = FakeTokenizer()
        self.cache = DictCache()
        self.observer = RecordingObserver()
        self.classifier = Classifier(INFO, TokenReader(self.tokenizer, self.engine))
        defaults = {
            "max_batch_tokens": 1024,
            "max_batch_texts": 64,
            "max_queue_texts": 4096,
            "max_queue_tokens": 262_144,
        }
        slots = Slots(self.classifier.classify, self.classifier.classify_beside, count=self.classifier.calls)
        self.batcher = Batcher(slots, observer=self.observer, **{**defaults, **limits})
        self.predictor = Predictor(self.classifier, self.cache, self.batcher, window=window)

    async def __aenter__(self) -> Self:
        self.batcher.start()
        self.predictor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.engine.gate.set()
        await self.batcher.aclose(timeout=PATIENCE_S)
        await self.predictor.aclose()

    async def engine_is_busy(self, *, after: int = 0) -> None:
        """Wait until the engine works on a batch (a cleared gate keeps it there), `after` so many others."""
        await eventually(lambda: len(self.engine.batches) > after)

    @property
    def texts_run(self) -> int:
        """How many texts reached the engine."""
        return sum(len(batch) for batch in self.engine.batches)


def submit(rig: Rig, *jobs: RecordingJob) -> None:
    """Reserve places for jobs and put them in line."""
    for job in jobs:
        rig.batcher.reserve(1, lane=job.lane, deadline=job.deadline)
    rig.batcher.submit(list(jobs))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail the test when it does not within `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "what the test waits for did not happen"
        await asyncio.sleep(0.002)
