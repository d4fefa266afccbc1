"""The waiting line: two lanes of jobs, each ordered by arrival and by length at once.

A batch starts from a lane's oldest job, so that none starves, and takes in neighbours of similar length, so
that little of the padded rectangle is padding. Every operation is O(1) but `take`, which looks at as many
jobs as it takes and at the few dozen length buckets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlapi.types import Encoding, Lane, Probabilities

BUCKET_TOKENS = 8
"""Texts whose lengths fall into the same eight tokens count as equally long."""

MAX_LENGTH_RATIO = 2.0
"""How much longer a batch's longest text may be than its shortest, once the batch is worth a call."""

WORTH_A_CALL = 128
"""Padded tokens below which a fuller batch costs hardly more than a small one (measured on two AVX-512 cores:
one text of 16 tokens takes 5 ms, of 32 tokens 7 ms, eight of 32 tokens 35 ms)."""


class BatchRun:
    """One engine call, shared by the jobs that it carried.

    Attributes:
        started: When it started, on the monotonic clock.
        seconds: How long the engine took; 0.0 until it is known.
    """

    __slots__ = ("seconds", "started")

    def __init__(self, started: float) -> None:
        """Note the start."""
        self.started = started
        self.seconds = 0.0


class Job(ABC):
    """One text on its way through the batcher.

    Attributes:
        lane: Where it waits.
        deadline: When nobody waits for it any more, on the monotonic clock.
        encoding: What the engine takes; set before the job is submitted.
        submitted: When it was submitted, on the monotonic clock.
        line: The line in which it stands; None before it is submitted and after it was taken.
    """

    __slots__ = ("deadline", "encoding", "lane", "line", "submitted")

    encoding: Encoding

    def __init__(self, *, lane: Lane, deadline: float) -> None:
        """Make a job that is not encoded yet."""
        self.lane = lane
        self.deadline = deadline
        self.submitted = 0.0
        self.line: WaitingLine | None = None

    @property
    def taken(self) -> bool:
        """Whether the job has left its line for the engine."""
        return self.submitted > 0.0 and self.line is None

    @abstractmethod
    def resolve(self, probabilities: Probabilities, run: BatchRun) -> None:
        """Take the answer."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Take the news that there will be no answer."""


class WaitingLine:
    """One lane's jobs.

    Attributes:
        texts: How many jobs wait.
        tokens: How many tokens they hold, unpadded.
        reserved: How many texts were admitted and are still being tokenised.
    """

    def __init__(self) -> None:
        """Make an empty line."""
        self.texts = 0
        self.tokens = 0
        self.reserved = 0
        self._by_arrival: OrderedDict[Job, None] = OrderedDict()
        self._by_length: dict[int, OrderedDict[Job, None]] = {}

    def add(self, job: Job) -> None:
        """Append a job."""
        job.line = self
        self.texts += 1
        self.tokens += job.encoding.length
        self._by_arrival[job] = None
        self._by_length.setdefault(_bucket(job), OrderedDict())[job] = None

    def remove(self, job: Job) -> None:
        """Take a job out, wherever it stands. The job must be in this line."""
        job.line = None
        self.texts -= 1
        self.tokens -= job.encoding.length
        del self._by_arrival[job]
        bucket = self._by_length[_bucket(job)]
        del bucket[job]
        if not bucket:
            del self._by_length[_bucket(job)]

    def take(self, *, max_tokens: int, max_texts: int) -> list[Job]:
        """Remove and return the next batch: the oldest job and its neighbours in length.

        Args:
            max_tokens: Budget of padded tokens (longest text times number of texts). The oldest job is taken
                even when it alone is over the budget.
            max_texts: Largest number of jobs.
        """
        oldest = next(iter(self._by_arrival), None)
        if oldest is None:
            return []
        batch = [oldest]
        shortest = longest = oldest.encoding.length
        for job in self._neighbours(oldest):
            length = job.encoding.length
            low, high = min(shortest, length), max(longest, length)
            padded = high * (len(batch) + 1)
            if len(batch) >= max_texts or padded > max_tokens:
                break
            if padded > WORTH_A_CALL and high > low * MAX_LENGTH_RATIO:
                break
            shortest, longest = low, high
            batch.append(job)
        for job in batch:
            self.remove(job)
        return batch

    def __iter__(self) -> Iterator[Job]:
        """Iterate over a snapshot of the jobs, oldest first."""
        return iter(list(self._by_arrival))

    def _neighbours(self, anchor: Job) -> Iterator[Job]:
        """Yield the other jobs, nearest length bucket first, oldest first inside a bucket."""
        home = _bucket(anchor)
        for index in sorted(self._by_length, key=lambda bucket: (abs(bucket - home), bucket)):
            for job in self._by_length[index]:
                if job is not anchor:
                    yield job


def _bucket(job: Job) -> int:
    return -(-job.encoding.length // BUCKET_TOKENS)
