"""Keeps calls that run beside each other, and the event loop, each on a CPU of its own (ADR 27).

Linux wakes a thread where it ran last, even if another call runs there and its waker is about to leave a CPU
idle. That CPUs idle while threads wait on others it finds out at its ticks, of 1 to 10 ms, and it does not
move a thread that has just run. A service that has as many CPUs as calls loses a tenth of them in that way.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

logger = logging.getLogger(__name__)

PROCESSOR = 39
"""The field of `/proc/PID/task/TID/stat` that says on which CPU a thread ran last (proc(5))."""

AFTER_NAME = 3
"""The first field behind the thread's name, which may hold blanks."""


class Placement:
    """Where the threads of calls, and the event loop's, may run.

    A call that runs alone may run anywhere: other processes on the same CPUs are then placed as well as ever.
    With the second, each is bound to a CPU. The event loop has the CPUs on which no call runs, or all if
    there is none. Nothing here raises: where threads cannot be bound, they are left alone for good.
    """

    def __init__(
        self,
        cpus: Collection[int],
        *,
        bind: Callable[[int, Collection[int]], None] | None = None,
        ran_on: Callable[[int], int] | None = None,
    ) -> None:
        """Bind nothing yet.

        Args:
            cpus: What the process may use: at least as many as calls run at a time.
            bind: Binds a thread, given by its kernel's id, to CPUs; the operating system's.
            ran_on: Tells on which CPU a thread ran last; asks the operating system.
        """
        self._all = frozenset(cpus)
        self._bind_thread = bind or os.sched_setaffinity
        self._ran_on = ran_on or _ran_on
        self._bound: dict[int, frozenset[int]] = {}
        self._running: list[int] = []
        self._off = False

    def begin(self, thread: int) -> None:
        """Place a call that a thread is about to be given. Call on the event loop.

        Args:
            thread: The kernel's id.
        """
        self._running.append(thread)
        self._place()

    def end(self, thread: int) -> None:
        """Note that a thread's call is over. Call on the event loop."""
        self._running.remove(thread)
        if self._running:
            self._place_event_loop()
        else:
            self._bind(threading.get_native_id(), self._all)

    def _place(self) -> None:
        if len(self._running) == 1:
            self._bind(self._running[0], self._all)
            return
        free = set(self._all)
        unplaced = []
        for thread in self._running:
            cpus = self._bound.get(thread, self._all)
            if len(cpus) == 1 and cpus <= free:
                free -= cpus
            else:
                unplaced.append(thread)
        for thread in unplaced:
            last = self._last_cpu(thread)
            cpu = last if last in free else min(free, default=None)
            if cpu is not None:
                free.discard(cpu)
                self._bind(thread, frozenset({cpu}))
        self._place_event_loop()

    def _place_event_loop(self) -> None:
        taken = [self._bound[thread] for thread in self._running if len(self._bound.get(thread, ())) == 1]
        self._bind(threading.get_native_id(), self._all.difference(*taken) or self._all)

    def _last_cpu(self, thread: int) -> int | None:
        with suppress(OSError, ValueError, IndexError):
            return self._ran_on(thread)
        return None

    def _bind(self, thread: int, cpus: frozenset[int]) -> None:
        if self._off or self._bound.get(thread, self._all) == cpus:
            return
        try:
            self._bind_thread(thread, cpus)
        except OSError as error:
            self._give_up(error)
        else:
            self._bound[thread] = cpus

    def _give_up(self, error: OSError) -> None:
        self._off = True
        logger.info("threads cannot be bound to CPUs (%s), and are left to the kernel", error.strerror)
        for thread in self._bound:
            with suppress(OSError):
                self._bind_thread(thread, self._all)


def place_calls(*, calls: int, threads: int, workers: int) -> Placement | None:
    """Return what places calls, or None where a call and a CPU of this process are not one to one.

    Args:
        calls: How many an engine does beside each other.
        threads: How many they have together.
        workers: Processes of this service on the same CPUs.
    """
    if calls == 1 or threads != calls or workers > 1 or not hasattr(os, "sched_setaffinity"):
        return None
    cpus = os.sched_getaffinity(0)
    return Placement(cpus) if len(cpus) == calls else None


def _ran_on(thread: int) -> int:
    fields = Path(f"/proc/self/task/{thread}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[PROCESSOR - AFTER_NAME])
