"""The batches that an engine works on at a time, each in a slot with a thread of its own.

An engine that can share its threads out among several calls has as many slots. A text that comes alone gets
all the threads, and is answered soonest. The rest run beside each other, because threads that share one call
wait for each other all the time, and stand still together when something else takes a core (ADR 25).
"""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import TYPE_CHECKING

from mlapi.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlapi.lanes import Job
    from mlapi.placement import Placement
    from mlapi.types import Encoding, Lane, Probabilities

    Classify = Callable[[list[Encoding]], list[Probabilities]]

LOOP_SHARE = 0.25
"""Share of a call's time that the event loop worked, from which on the next call does not get all threads."""

COMPANY_S = 1.0
"""Seconds after a call that had company in which the next text does not get all threads."""

LOOP_LEAST_S = 0.0003
"""Work of the event loop that does not count: what belongs to the call itself, and one more answer."""


class Slot:
    """Runs one batch at a time.

    Attributes:
        running: The batch; empty between two.
        alone: Whether that call, or the last one, has all threads.
    """

    def __init__(self, classify: Classify, beside: Classify, *, name: str) -> None:
        """Make a slot whose thread does not run yet."""
        self._classify = classify
        self._beside = beside
        self.worker: Worker[list[Encoding], list[Probabilities]] = Worker(self._run, name=name)
        self.running: list[Job] = []
        self.alone = False

    def _run(self, batch: list[Encoding]) -> list[Probabilities]:
        return self._classify(batch) if self.alone else self._beside(batch)


class Slots:
    """All slots of one engine."""

    def __init__(
        self,
        classify: Classify,
        beside: Classify | None = None,
        *,
        count: int = 1,
        placement: Placement | None = None,
    ) -> None:
        """Make slots that do not run yet.

        Args:
            classify: Runs one batch with all threads, while no other runs.
            beside: Runs one batch while others run.
            count: How many.
            placement: Says on which CPUs those run that run beside each other; without it the kernel does.

        Raises:
            ValueError: There are several, and `beside` is missing.
        """
        if count > 1 and beside is None:
            raise ValueError("several slots need a way to run batches beside each other")
        self._slots = [
            Slot(classify, beside or classify, name=f"mlapi-engine-{number}")
            for number in range(1, count + 1)
        ]
        self._placement = placement
        self._arrived = 0
        self._company_until = 0.0

    def start(self) -> None:
        """Start the threads. Needs a running event loop."""
        for slot in self._slots:
            slot.worker.start()

    async def stop(self, *, timeout: float) -> bool:  # noqa: ASYNC109 - for each thread
        """Let the threads end after what they do; tell whether all did within `timeout` s."""
        return all(
            await asyncio.gather(
                *(asyncio.to_thread(slot.worker.stop, timeout=timeout) for slot in self._slots)
            )
        )

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether all threads live, and no call is over `stuck_after` s."""
        return all(slot.worker.healthy(stuck_after=stuck_after) for slot in self._slots)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot]:
        """Iterate over them."""
        return iter(self._slots)

    @property
    def running(self) -> list[Job]:
        """What is being computed."""
        return [job for slot in self._slots for job in slot.running]

    @property
    def taken(self) -> bool:
        """Whether one call has all the threads, so that no other may start."""
        return any(slot.alone and slot.running for slot in self._slots)

    def retired(self, slot: Slot) -> bool:
        """Tell whether a slot's thread is gone, and another's lives that can do its work."""
        return not slot.worker.healthy(stuck_after=inf) and any(
            other.worker.healthy(stuck_after=inf) for other in self._slots
        )

    def share(self, waiting: int, lane: Lane, *, most: int) -> int:
        """Return how many of a lane's waiting texts make a batch, so that the slots get equally many.

        Args:
            waiting: Texts in line.
            lane: Whose texts.
            most: Texts in a batch at most.
        """
        if len(self._slots) == 1:
            return most
        texts = waiting + sum(job.lane is lane for job in self.running)
        return min(most, max(1, -(-texts // len(self._slots))))

    def arrived(self, texts: int) -> None:
        """Note that texts came into line."""
        self._arrived += texts

    async def run(self, slot: Slot, batch: list[Job], *, waiting: int) -> list[Probabilities]:
        """Run one batch, with all threads if its text is alone, and the last call had no company.

        Whoever waits for the answer has it before `slot.running` is empty again.

        Args:
            slot: Where.
            batch: One or more jobs; `slot.running` while they run.
            waiting: Texts left in line.

        Raises:
            Exception: What the engine raised.
        """
        company = bool(waiting or len(batch) > 1 or self.running)
        started = time.monotonic()
        slot.alone = len(self._slots) == 1 or not (company or started < self._company_until)
        slot.running = batch
        arrived, worked = self._arrived, time.thread_time()
        try:
            if self._placement is not None:
                self._placement.begin(slot.worker.native_id)
            return await slot.worker.call([job.encoding for job in batch])
        finally:
            if self._placement is not None:
                self._placement.end(slot.worker.native_id)
            ended = time.monotonic()
            busy = time.thread_time() - worked > max(LOOP_LEAST_S, LOOP_SHARE * (ended - started))
            had_company = company or busy or arrived < self._arrived
            self._company_until = ended + COMPANY_S if had_company else 0.0
