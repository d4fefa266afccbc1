"""One request's way: de-duplicate, ask the cache, have the rest computed, put everything in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from mlapi.cache.codec import KeyMaker, decode_prediction
from mlapi.errors import DeadlineExceeded
from mlapi.intake import Intake
from mlapi.types import Lane, Outcome, Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.batching import Batcher
    from mlapi.classifier import Classifier
    from mlapi.intake import Window
    from mlapi.lanes import BatchRun
    from mlapi.ports import Cache
    from mlapi.types import CacheKey, ModelInfo, Prediction

KEYS_AT_ONCE = 1_000
"""Texts hashed before the event loop gets a turn."""

INTERACTIVE_TEXTS = 16
"""Texts up to which what is left to compute of a request stands in line with single texts; more is bulk."""

WINDOWS_IN_FLIGHT = 2
"""Windows of one bulk request that are in work at once: one fills the engine while the next is tokenised."""


class Predictor:
    """Answers requests from the cache, from work under way, and from the engine, in that order."""

    def __init__(
        self, classifier: Classifier, cache: Cache, batcher: Batcher, *, window: int, inline_chars: int = 0
    ) -> None:
        """Join the parts.

        Args:
            classifier: Encodes texts, in threads of this predictor or on the event loop.
            cache: Where answers are kept.
            batcher: Runs what has to be computed.
            window: Texts of one request that are tokenised and queued together.
            inline_chars: Characters up to which a text that comes alone is tokenised on the event loop.
        """
        self.info: ModelInfo = classifier.info
        self._cache = cache
        self._batcher = batcher
        self._window = window
        self._key = KeyMaker(classifier.info)
        self._labels = len(classifier.info.labels)
        self._intake = Intake(classifier.encode, batcher, cache, inline_chars=inline_chars)

    def start(self) -> None:
        """Start the tokenisers' threads. Needs a running event loop."""
        self._intake.start()

    async def aclose(self) -> None:
        """Stop the tokenisers' threads. The batcher is closed before, by whoever made it."""
        self._intake.stop()

    @property
    def cache_status(self) -> str:
        """`ok`, `down` or `off`."""
        return self._cache.status

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether tokenisers and engine make progress: no call has taken over `stuck_after` seconds."""
        return self._batcher.healthy(stuck_after=stuck_after) and self._intake.healthy(
            stuck_after=stuck_after
        )

    @property
    def in_flight(self) -> int:
        """How many distinct texts are being computed."""
        return self._intake.in_flight

    def recall(self, texts: Sequence[str]) -> Outcome | None:
        """Answer at once where this process holds every answer; None, without a trace, where it does not."""
        if len(texts) > KEYS_AT_ONCE:
            return None
        values = self._cache.recall([self._key(text) for text in texts])
        if values is None:
            return None
        predictions: list[Prediction] = []
        for value in values:
            prediction = decode_prediction(value, self._labels)
            if prediction is None:
                return None
            predictions.append(prediction)
        return Outcome(predictions, hits=len(texts))

    async def predict(self, texts: Sequence[str], *, timeout: float) -> Outcome:  # noqa: ASYNC109
        """Answer one request.

        Args:
            texts: Any number of texts, repetitions included.
            timeout: Seconds after which nobody waits for the answer any more.

        Returns:
            A prediction per text, in order.

        Raises:
            Overloaded: The work was refused at the door.
            DeadlineExceeded: `timeout` passed.
            EngineError: A batch that carried one of the texts failed.
            Draining: The process is shutting down.
        """
        work = _Work(deadline=time.monotonic() + timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._answer(texts, work)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {timeout:g} s") from None

    async def _answer(self, texts: Sequence[str], work: _Work) -> Outcome:
        wanted = await self._keys(texts)
        started = time.monotonic()
        stored = await self._look_up(list(wanted.values()))
        looked_up = time.monotonic() - started
        missing: list[tuple[str, CacheKey]] = []
        for (text, key), value in zip(wanted.items(), stored, strict=True):
            prediction = None if value is None else decode_prediction(value, self._labels)
            if prediction is None:
                missing.append((text, key))
            else:
                work.cached[text] = prediction
        await self._compute(work, missing)
        hits = sum(text in work.cached for text in texts)
        answers = work.cached | work.computed
        return Outcome(
            [answers[text] for text in texts],
            hits=hits,
            misses=work.created,
            coalesced=len(texts) - hits - work.created,
            timings=work.timings(cache=looked_up),
        )

    async def _look_up(self, keys: list[CacheKey]) -> list[bytes | None]:
        if len(keys) > INTERACTIVE_TEXTS:  # nobody waits for these, though little may be left to compute
            return await self._cache.get_many(keys)
        self._batcher.coming += 1
        try:
            return await self._cache.get_many(keys)
        finally:
            self._batcher.coming -= 1

    async def _keys(self, texts: Sequence[str]) -> dict[str, CacheKey]:
        """Return the distinct texts, in order, with their keys."""
        keys: dict[str, CacheKey] = {}
        for number, text in enumerate(texts, start=1):
            if text not in keys:
                keys[text] = self._key(text)
            if number % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return keys

    async def _compute(self, work: _Work, missing: list[tuple[str, CacheKey]]) -> None:
        """Compute the texts window by window, a few windows at once."""
        # What is on its way for others counts: else a bulk request that is sent twice would bring all its
        # texts among the single ones.
        lane = Lane.INTERACTIVE if len(missing) <= INTERACTIVE_TEXTS else Lane.BULK
        running: deque[tuple[list[tuple[str, CacheKey]], Window]] = deque()
        try:
            for start in range(0, len(missing), self._window):
                if len(running) == WINDOWS_IN_FLIGHT:
                    await self._finish(work, *running[0])
                    running.popleft()
                texts = missing[start : start + self._window]
                if start:
                    await self._batcher.room(len(texts), lane=lane)
                # No await between `room` and boarding: another request would take the place.
                texts = self._without_landed(work, texts)
                # Judged at the door alone: an admitted request is not refused half-way for its own length.
                admit_until = inf if start else work.deadline
                window = self._intake.board(texts, lane=lane, deadline=work.deadline, admit_until=admit_until)
                running.append((texts, window))
            while running:
                await self._finish(work, *running[0])
                running.popleft()
        finally:
            for _, window in running:
                self._intake.leave(window)

    def _without_landed(self, work: _Work, texts: list[tuple[str, CacheKey]]) -> list[tuple[str, CacheKey]]:
        """Return the texts whose answers did not arrive in the cache since it was asked; note the others'."""
        left = []
        for text, key in texts:
            found = None if self._intake.is_on_its_way(key) else self._cache.recall([key])
            prediction = decode_prediction(found[0], self._labels) if found else None
            if prediction is None:
                left.append((text, key))
            else:
                work.cached[text] = prediction
        return left

    @staticmethod
    async def _finish(work: _Work, texts: list[tuple[str, CacheKey]], window: Window) -> None:
        """Wait for a window's flights and note their answers."""
        if texts:
            await window.ticket.done
        work.note([text for text, _ in texts], window)


class _Work:
    """What one request found and had computed, and where its time went."""

    __slots__ = ("cached", "computed", "created", "deadline", "queue", "runs", "tokenize")

    def __init__(self, *, deadline: float) -> None:
        self.deadline = deadline
        self.cached: dict[str, Prediction] = {}
        self.computed: dict[str, Prediction] = {}
        self.created = 0
        self.runs: set[BatchRun] = set()
        self.tokenize = 0.0
        self.queue = 0.0

    def note(self, texts: Sequence[str], window: Window) -> None:
        """Take over a landed window's answers and times."""
        self.created += window.created
        for text, flight in zip(texts, window.flights, strict=True):
            prediction, run = flight.landed()
            self.computed[text] = prediction
            self.runs.add(run)
            self.tokenize = max(self.tokenize, flight.submitted - window.started)
            self.queue = max(self.queue, run.started - max(flight.submitted, window.started))

    def timings(self, *, cache: float) -> Timings:
        """Return the times of the whole request."""
        infer = sum(run.seconds for run in self.runs)
        return Timings(cache=cache, tokenize=self.tokenize, queue=self.queue, infer=infer)
