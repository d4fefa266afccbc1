"""One request's way: de-duplicate, ask the cache, join what is under way, tokenise, batch, put in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlapi.cache.codec import KeyMaker, decode_prediction, encode_prediction
from mlapi.coalescing import Flight, Ticket
from mlapi.errors import DeadlineExceeded, EngineError
from mlapi.types import Lane, Outcome, Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.batching import Batcher
    from mlapi.classifier import Classifier
    from mlapi.lanes import BatchRun, Job
    from mlapi.ports import Cache
    from mlapi.types import CacheKey, Encoding, ModelInfo, Prediction

KEYS_AT_ONCE = 1_000
"""Texts hashed before the event loop gets a turn."""

WINDOWS_IN_FLIGHT = 2
"""Windows of one bulk request that are in work at once: one fills the engine while the next is tokenised."""


class Predictor:
    """Answers requests from the cache, from work under way, and from the engine, in that order."""

    def __init__(
        self,
        classifier: Classifier,
        cache: Cache,
        batcher: Batcher,
        *,
        window: int,
    ) -> None:
        """Join the parts.

        Args:
            classifier: Encodes texts, in threads of this predictor.
            cache: Where answers are kept.
            batcher: Runs what has to be computed.
            window: Texts of one request that are tokenised and queued together.
        """
        self._classifier = classifier
        self._cache = cache
        self._batcher = batcher
        self._window = window
        self._key = KeyMaker(classifier.info)
        self._labels = len(classifier.info.labels)
        self._flights: dict[CacheKey, Flight] = {}
        self._tokenizers = {
            lane: ThreadPoolExecutor(1, thread_name_prefix=f"mlapi-tokenize-{lane.value}") for lane in Lane
        }

    @property
    def info(self) -> ModelInfo:
        """Which model answers."""
        return self._classifier.info

    @property
    def cache_status(self) -> str:
        """`ok`, `down` or `off`."""
        return self._cache.status

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether the engine makes progress: no call has taken longer than `stuck_after` seconds."""
        return self._batcher.healthy(stuck_after=stuck_after)

    @property
    def in_flight(self) -> int:
        """How many distinct texts are being computed."""
        return len(self._flights)

    async def predict(self, texts: Sequence[str], *, lane: Lane, timeout: float) -> Outcome:  # noqa: ASYNC109
        """Answer one request.

        Args:
            texts: Any number of texts, repetitions included.
            lane: `INTERACTIVE`, or `BULK` for work that takes turns with everything else.
            timeout: Seconds after which nobody waits for the answer any more.

        Returns:
            A prediction per text, in order.

        Raises:
            Overloaded: The work was refused at the door.
            DeadlineExceeded: `timeout` passed.
            EngineError: A batch that carried one of the texts failed.
            Draining: The process is shutting down.
        """
        deadline = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                return await self._answer(texts, lane=lane, deadline=deadline)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {timeout:g} s") from None

    async def aclose(self) -> None:
        """Stop the tokeniser threads. The batcher is closed before, by whoever made it."""
        for tokenizer in self._tokenizers.values():
            tokenizer.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, texts: Sequence[str], *, lane: Lane, deadline: float) -> Outcome:
        wanted = await self._keys(texts)
        started = time.monotonic()
        stored = await self._cache.get_many(list(wanted.values()))
        looked_up = time.monotonic() - started
        answers: dict[str, Prediction] = {}
        missing: list[str] = []
        for text, value in zip(wanted, stored, strict=True):
            prediction = None if value is None else decode_prediction(value, self._labels)
            if prediction is None:
                missing.append(text)
            else:
                answers[text] = prediction
        if not missing:
            return Outcome(
                [answers[text] for text in texts], hits=len(texts), timings=Timings(cache=looked_up)
            )
        work = _Work(lane=lane, deadline=deadline)
        await self._compute(work, {text: wanted[text] for text in missing})
        hits = sum(text in answers for text in texts) if len(texts) > len(missing) else 0
        answers.update(work.answers)
        return Outcome(
            [answers[text] for text in texts],
            hits=hits,
            misses=work.computed,
            coalesced=len(texts) - hits - work.computed,
            timings=work.timings(cache=looked_up),
        )

    async def _keys(self, texts: Sequence[str]) -> dict[str, CacheKey]:
        """Return the distinct texts, in order, with their keys."""
        keys: dict[str, CacheKey] = {}
        for number, text in enumerate(texts, start=1):
            if text not in keys:
                keys[text] = self._key(text)
            if number % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return keys

    async def _compute(self, work: _Work, missing: dict[str, CacheKey]) -> None:
        """Compute the texts window by window, a few windows at once."""
        texts = list(missing.items())
        windows = [texts[start : start + self._window] for start in range(0, len(texts), self._window)]
        if len(windows) == 1:
            await self._compute_window(work, windows[0])
            return
        running: deque[asyncio.Task[None]] = deque()
        try:
            for number, window in enumerate(windows):
                if len(running) == WINDOWS_IN_FLIGHT:
                    await running.popleft()
                if number:
                    await self._batcher.room(len(window), lane=work.lane)
                running.append(asyncio.create_task(self._compute_window(work, window)))
                await asyncio.sleep(0)
            while running:
                await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _compute_window(self, work: _Work, window: list[tuple[str, CacheKey]]) -> None:
        """Join or start a flight for each text, wait for all of them and note their answers."""
        started = time.monotonic()
        new = [(text, key) for text, key in window if key not in self._flights]
        if new:
            self._batcher.reserve(len(new), lane=work.lane, deadline=work.deadline)
        created = [self._take_off(work, text, key) for text, key in new]
        ticket = Ticket()
        flights = [self._board(work, key, ticket) for _, key in window]
        if created:
            self._tokenize(created, lane=work.lane)
        try:
            await ticket.done
        finally:
            self._batcher.discard([flight for flight in flights if flight.leave(ticket)])
        work.computed += len(created)
        for (text, _), flight in zip(window, flights, strict=True):
            work.note(text, flight, started)

    def _take_off(self, work: _Work, text: str, key: CacheKey) -> Flight:
        flight = Flight(key, text, lane=work.lane, deadline=work.deadline, on_over=self._land)
        self._flights[key] = flight
        return flight

    def _board(self, work: _Work, key: CacheKey, ticket: Ticket) -> Flight:
        """Wait for the text's flight, which will not be later or less urgent than this request needs."""
        flight = self._flights[key]
        ticket.add(flight)
        flight.deadline = max(flight.deadline, work.deadline)
        if work.lane is Lane.INTERACTIVE:
            self._batcher.promote(flight)
        return flight

    def _land(self, flight: Flight) -> None:
        """Forget a flight that is over, and keep its answer if it has one."""
        del self._flights[flight.key]
        if flight.prediction is not None:
            self._cache.set_many({flight.key: encode_prediction(flight.prediction)})

    def _tokenize(self, flights: list[Flight], *, lane: Lane) -> None:
        """Encode in the lane's own thread, so that a single text never waits for a window's tokenisation.

        The rest is a callback rather than the requester's own code: when that request is cancelled, others
        may wait for the same texts.
        """

        def encode() -> list[tuple[Flight, Encoding]]:
            wanted = [flight for flight in flights if not flight.over]
            if not wanted:
                return []
            encodings = self._classifier.encode([flight.text for flight in wanted])
            return list(zip(wanted, encodings, strict=True))

        loop = asyncio.get_running_loop()
        encoded = loop.run_in_executor(self._tokenizers[lane], encode)
        encoded.add_done_callback(lambda future: self._submit(flights, future))

    def _submit(self, flights: list[Flight], encoded: asyncio.Future[list[tuple[Flight, Encoding]]]) -> None:
        """Queue what was encoded; give back the reservation of what was abandoned meanwhile."""
        if encoded.cancelled() or encoded.exception() is not None:
            for flight in flights:
                self._batcher.release(flight)
                flight.fail(EngineError("the tokeniser failed"))
            return
        ready: list[Job] = []
        for flight, encoding in encoded.result():
            flight.encoding = encoding
            if not flight.over:
                ready.append(flight)
        for flight in set(flights).difference(ready):
            self._batcher.release(flight)
        self._batcher.submit(ready)


class _Work:
    """What one request had computed, and where its time went."""

    __slots__ = ("answers", "computed", "deadline", "lane", "queue", "runs", "tokenize")

    def __init__(self, *, lane: Lane, deadline: float) -> None:
        self.lane = lane
        self.deadline = deadline
        self.answers: dict[str, Prediction] = {}
        self.computed = 0
        self.runs: set[BatchRun] = set()
        self.tokenize = 0.0
        self.queue = 0.0

    def note(self, text: str, flight: Flight, started: float) -> None:
        """Take over a landed flight's answer and times; `started` is when this request joined it."""
        assert flight.prediction is not None  # noqa: S101 - the ticket resolved, so every flight has landed
        assert flight.run is not None  # noqa: S101 - as above
        self.answers[text] = flight.prediction
        self.runs.add(flight.run)
        self.tokenize = max(self.tokenize, flight.submitted - started)
        self.queue = max(self.queue, flight.run.started - max(flight.submitted, started))

    def timings(self, *, cache: float) -> Timings:
        """Return the times of the whole request."""
        infer = sum(run.seconds for run in self.runs)
        return Timings(cache=cache, tokenize=self.tokenize, queue=self.queue, infer=infer)
