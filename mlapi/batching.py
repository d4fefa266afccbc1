"""Bounded admission, and batches of similar length fed to the engine's slots as soon as they are free.

No timer holds a batch back: while the engine works, what arrives forms the next one. Between two in a slot,
the event loop catches up, so that who was just answered and asks again is in the next. The two lanes take
turns, so that a single text waits for at most two batches behind any amount of bulk work: the one that is
running and one of the other lane. Nothing that was cancelled, or is past its deadline, reaches the engine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from mlapi.catching_up import catch_up
from mlapi.errors import DeadlineExceeded, Draining, EngineError, Overloaded
from mlapi.lanes import BatchRun, Job, WaitingLine
from mlapi.speed import EngineSpeed
from mlapi.types import Lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlapi.ports import BatchObserver
    from mlapi.slots import Slot, Slots

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER = 30.0

CATCH_UP_SHARE = 0.2
"""Share of a batch's time after which the event loop gets no further turn before the next batch."""


class Batcher:
    """The line in front of one engine.

    Attributes:
        coming: Requests of few texts that ask the cache and may have some for the line. Whoever asks counts
            them.
    """

    def __init__(
        self,
        slots: Slots,
        *,
        max_batch_tokens: int,
        max_batch_texts: int,
        max_queue_texts: int,
        max_queue_tokens: int,
        observer: BatchObserver,
    ) -> None:
        """Make a batcher that is not running yet.

        Args:
            slots: Run batches; started and stopped with the batcher.
            max_batch_tokens: Budget of padded tokens that the engine works on at a time, in all slots.
            max_batch_texts: Most texts per engine call.
            max_queue_texts: Most texts that may be admitted to one lane and not yet run.
            max_queue_tokens: Waiting tokens from which on a lane admits nothing more.
            observer: Told of every batch and refusal.
        """
        self._slots = slots
        self._max_tokens = max_batch_tokens
        self._max_batch_tokens = max(1, max_batch_tokens // len(slots))
        self._max_batch_texts = max_batch_texts
        self._max_queue_texts = max_queue_texts
        self._max_queue_tokens = max_queue_tokens
        self._observer = observer
        self._lines = {lane: WaitingLine() for lane in Lane}
        self._last_lane = Lane.BULK
        self._wake = asyncio.Event()
        self._room: deque[asyncio.Future[None]] = deque()
        self._speed = EngineSpeed()
        self.coming = 0
        self._draining = False
        self._closed = False
        self._pumps: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the slots and what feeds them. Needs a running event loop."""
        self._slots.start()
        self._changed()  # a scrape shows both lanes from now on
        self._pumps = [asyncio.create_task(self._feed(slot), name="mlapi-batcher") for slot in self._slots]

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether batches can be run: all slots live and are fed, no call is over `stuck_after` s."""
        fed = bool(self._pumps) and not any(pump.done() for pump in self._pumps)
        return fed and self._slots.healthy(stuck_after=stuck_after)

    @property
    def waiting(self) -> int:
        """How many texts were admitted and have not been answered: reserved, waiting or running."""
        return len(self._slots.running) + sum(line.texts + line.reserved for line in self._lines.values())

    def reserve(self, texts: int, *, lane: Lane, deadline: float) -> None:
        """Admit texts that are about to be tokenised and submitted, or refuse them at once.

        Each must then be given to `submit` or `release`.

        Raises:
            Overloaded: The lane is full, or the texts would not be begun before the deadline.
            Draining: No new work is taken.
        """
        if self._draining:
            raise Draining("shutting down", retry_after=1.0)
        line = self._lines[lane]
        wait = self._estimated_wait(lane)
        if line.texts + line.reserved + texts > self._max_queue_texts:
            self._refuse("texts", "too many texts are waiting", wait)
        if line.tokens >= self._max_queue_tokens:
            self._refuse("tokens", "too many tokens are waiting", wait)
        if time.monotonic() + wait > deadline:
            self._refuse(
                "deadline", f"the wait is about {wait:.1f} s, longer than this request may take", wait
            )
        line.reserved += texts

    async def room(self, texts: int, *, lane: Lane) -> None:
        """Wait until `texts` fit into the lane: for the later windows of an admitted request."""
        line = self._lines[lane]
        while (
            line.texts + line.reserved + texts > self._max_queue_texts
            or line.tokens >= self._max_queue_tokens
        ) and not self._draining:
            turn = asyncio.get_running_loop().create_future()
            self._room.append(turn)
            await turn

    def release(self, job: Job) -> None:
        """Give back the reservation of a job that will not be submitted."""
        self._lines[job.lane].reserved -= 1
        self._made_room()

    def submit(self, jobs: list[Job]) -> None:
        """Put encoded jobs, each reserved before, into their lanes."""
        now = time.monotonic()
        for job in jobs:
            line = self._lines[job.lane]
            line.reserved -= 1
            if self._closed:
                job.fail(_too_late())
                continue
            job.submitted = now
            line.add(job)
        self._slots.arrived(len(jobs))
        self._changed({job.lane for job in jobs})
        self._wake.set()

    def discard(self, jobs: Iterable[Job]) -> None:
        """Drop jobs for which nobody waits any more. Those that are running already are left alone."""
        removed = False
        for job in jobs:
            if job.line is not None:
                job.line.remove(job)
                removed = True
        if removed:
            self._changed()
            self._made_room()

    def promote(self, job: Job) -> None:
        """Move a bulk job for which an interactive request waits, too, to the interactive lane."""
        if job.lane is Lane.INTERACTIVE:
            return
        if job.line is not None:
            job.line.remove(job)
            self._lines[Lane.INTERACTIVE].add(job)
        elif job not in self._slots.running:
            self._lines[job.lane].reserved -= 1
            self._lines[Lane.INTERACTIVE].reserved += 1
        job.lane = Lane.INTERACTIVE
        self._changed()

    async def aclose(self, *, timeout: float) -> None:  # noqa: ASYNC109 - a budget for several steps
        """Take no new work, finish what was admitted within `timeout` s, fail the rest, stop the worker."""
        self._draining = True
        self._made_room()
        end = time.monotonic() + timeout
        # Polled, because no event tells of a worker that died.
        while self.waiting and time.monotonic() < end and self.healthy(stuck_after=inf):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        abandoned = [*self._slots.running, *(job for line in self._lines.values() for job in line)]
        for job in abandoned:
            if job.line is not None:
                job.line.remove(job)
            job.fail(_too_late())
        for slot in self._slots:
            slot.running = []
        self._closed = True
        remaining = max(0.0, end - time.monotonic())
        if not await self._slots.stop(timeout=remaining + 0.1):
            logger.warning("an engine call is still running; it is left behind")

    async def _feed(self, slot: Slot) -> None:
        while True:
            batch = [] if self._slots.taken else self._next_batch()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            seconds = await self._run_batch(batch, slot)
            if self._slots.retired(slot):
                return  # else it would fail what the others can do until the process is restarted
            if slot.alone:
                self._wake.set()  # whoever had to wait until all threads are free
            if len(batch) > 1 or self._waiting_texts():
                await catch_up(
                    CATCH_UP_SHARE * seconds,
                    waiting=self._waiting_texts,
                    coming=self._on_their_way,
                    full=self._next_is_full,
                )

    def _on_their_way(self) -> int:
        """Return how many requests of few texts are being looked up, and texts of theirs tokenised."""
        return self.coming + self._lines[Lane.INTERACTIVE].reserved

    def _next_is_full(self) -> bool:
        """Tell whether the lane that is next has enough for a batch."""
        lane = next((lane for lane in self._turns() if self._lines[lane].texts), None)
        if lane is None:
            return False
        line = self._lines[lane]
        return line.texts >= self._share(lane) or line.tokens >= self._max_batch_tokens

    def _waiting_texts(self) -> int:
        return sum(line.texts for line in self._lines.values())

    async def _run_batch(self, batch: list[Job], slot: Slot) -> float:
        """Run a batch; return the seconds that the engine took, 0.0 if it failed."""
        run = BatchRun(started=time.monotonic())
        try:
            answers = await self._slots.run(slot, batch, waiting=self._waiting_texts())
            run.seconds = time.monotonic() - run.started
            for job, probabilities in zip(batch, answers, strict=True):
                job.resolve(probabilities, run)
        except Exception as error:  # noqa: BLE001 - the line must go on whatever one batch did
            self._fail_batch(batch, error)
            seconds = 0.0
        else:
            self._note_run(batch, run.seconds, alone=slot.alone)
            seconds = run.seconds
        slot.running = []
        return seconds

    def _fail_batch(self, batch: list[Job], error: Exception) -> None:
        failure = (
            error if isinstance(error, EngineError) else EngineError(f"batch failed ({type(error).__name__})")
        )
        cause = error.__cause__ or error
        logger.error("a batch of %d texts failed: %s (%s)", len(batch), failure, type(cause).__name__)
        self._observer.batch_failed()
        for job in batch:
            job.fail(failure)

    def _next_batch(self) -> list[Job]:
        """Take a batch from the lane whose turn it is, without jobs that are past their deadline."""
        for lane in self._turns():
            line = self._lines[lane]
            while batch := line.take(max_tokens=self._max_batch_tokens, max_texts=self._share(lane)):
                live = self._drop_expired(batch)
                self._changed((lane,))
                self._made_room()
                if live:
                    self._last_lane = lane
                    return live
        return []

    def _share(self, lane: Lane) -> int:
        """Return how many of a lane's texts make a batch."""
        return self._slots.share(self._lines[lane].texts, lane, most=self._max_batch_texts)

    def _turns(self) -> tuple[Lane, Lane]:
        """Return the lanes, the one whose turn it is first."""
        other = Lane.BULK if self._last_lane is Lane.INTERACTIVE else Lane.INTERACTIVE
        return other, self._last_lane

    def _drop_expired(self, batch: list[Job]) -> list[Job]:
        now = time.monotonic()
        live = [job for job in batch if job.deadline > now]
        if len(live) < len(batch):
            for job in batch:
                if job.deadline <= now:
                    self._observer.refused("expired")
                    job.fail(DeadlineExceeded("the deadline passed while the text waited"))
        return live

    def _estimated_wait(self, lane: Lane) -> float:
        """Return the seconds until texts that join the lane now would be begun; 0.0 while unmeasured.

        Their own cost is left out: an idle engine must admit anything, because only a batch that runs can
        correct a bad estimate.
        """
        line = self._lines[lane]
        own = line.tokens + line.reserved * self._speed.tokens_per_text
        other = sum(line.tokens for line in self._lines.values()) - line.tokens
        running = sum(job.encoding.length for job in self._slots.running)
        # Turns are equal, so the other lane gets at most as much engine time as this one, plus one batch.
        ahead = own + min(other, own + self._max_tokens) + running
        return ahead * self._speed.seconds_per_token

    def _note_run(self, batch: list[Job], seconds: float, *, alone: bool) -> None:
        lengths = [job.encoding.length for job in batch]
        # Beside others a batch has but its share of the engine.
        whole = seconds if alone else seconds / len(self._slots)
        self._speed.note(texts=len(batch), tokens=sum(lengths), seconds=whole)
        self._observer.batch_done(
            texts=len(batch), padded_tokens=max(lengths) * len(batch), tokens=sum(lengths), seconds=seconds
        )

    def _refuse(self, reason: str, message: str, wait: float) -> None:
        self._observer.refused(reason)
        raise Overloaded(message, retry_after=min(MAX_RETRY_AFTER, max(1.0, wait)))

    def _made_room(self) -> None:
        while self._room:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)

    def _changed(self, lanes: Iterable[Lane] = tuple(Lane)) -> None:
        for lane in lanes:
            line = self._lines[lane]
            self._observer.queue_changed(lane, texts=line.texts, tokens=line.tokens)


def _too_late() -> Draining:
    return Draining("shut down before the text was answered", retry_after=1.0)
