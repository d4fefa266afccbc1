"""The generator's own process: takes a job from standard input, writes what was counted to standard output.

Only `bench.load.generator` starts it; both ends are this project's, so that pickle is safe between them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import selectors
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.load.closed_loop import ClosedLoop, TooFewRequestsError
from bench.load.open_loop import Arrivals, OpenLoop, due_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.load.request import Request
    from bench.load.result import Load


@dataclass(frozen=True, slots=True)
class ClosedJob:
    """What `closed_loop` was asked for."""

    port: int
    requests: Sequence[Request]
    clients: int
    seconds: float | None
    warmup_s: float
    pid: int | None
    timeout_s: float

    async def run(self) -> Load:
        """Do it."""
        loop = ClosedLoop(
            self.port,
            self.requests,
            clients=self.clients,
            seconds=self.seconds,
            warmup_s=self.warmup_s,
            server=self.pid,
            timeout_s=self.timeout_s,
        )
        return await loop.run()


@dataclass(frozen=True, slots=True)
class OpenJob:
    """What `open_loop` was asked for."""

    port: int
    requests: Sequence[Request]
    seconds: float
    arrivals: Arrivals
    seed: int
    pid: int | None
    connections: int
    timeout_s: float

    async def run(self) -> Load:
        """Do it."""
        due = due_times(len(self.requests), self.seconds, arrivals=self.arrivals, seed=self.seed)
        loop = OpenLoop(
            self.port,
            self.requests,
            due=due,
            seconds=self.seconds,
            server=self.pid,
            connections=self.connections,
            timeout_s=self.timeout_s,
        )
        return await loop.run()


def main() -> None:
    """Run one job; the answer is a `Load`, or a line that says what went wrong."""
    job: ClosedJob | OpenJob = pickle.load(sys.stdin.buffer)  # noqa: S301 - see above
    gc.disable()  # nothing here makes cycles worth a pause in the middle of a measurement
    # epoll's timers count whole milliseconds, which is much beside a fast answer.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_selector(job))) as runner:
        runner.get_loop().set_exception_handler(_give_up)
        try:
            result: Load | str = runner.run(job.run())
        except (OSError, TooFewRequestsError) as error:
            result = str(error)
    sys.stdout.buffer.write(pickle.dumps(result))


def _give_up(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process: an error in a callback would leave the load waiting for ever."""
    loop.default_exception_handler(context)
    os._exit(1)


def _selector(job: ClosedJob | OpenJob) -> selectors.BaseSelector:
    return selectors.SelectSelector() if isinstance(job, OpenJob) else selectors.DefaultSelector()


if __name__ == "__main__":
    main()
