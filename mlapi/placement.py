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
from typing import TYPE_CHECKING, Protocol

from mlapi.resources import one_cpu_each

if TYPE_CHECKING:
    from collections.abc import Collection

logger = logging.getLogger(__name__)

TASKS = Path("/proc/self/task")

PROCESSOR = 39
"""The field of `/proc/PID/task/TID/stat` that says on which CPU a thread ran last (proc(5))."""

AFTER_NAME = 3
"""The first field behind the thread's name, which may hold blanks."""


class Kernel(Protocol):
    """What places threads. Threads are given by the kernel's ids. Everything may raise `OSError`."""

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        """Let a thread run on these CPUs alone."""

    def ran_on(self, thread: int) -> int:
        """Return the CPU on which a thread ran last."""

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        """Return the CPUs on which the process's threads may run, some of them left out of account."""


class Linux:
    """A `Kernel`: sched_setaffinity(2), and what /proc tells."""

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        """Let a thread run on these CPUs alone."""
        os.sched_setaffinity(thread, cpus)

    def ran_on(self, thread: int) -> int:
        """Return the CPU on which a thread ran last."""
        fields = (TASKS / str(thread) / "stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[PROCESSOR - AFTER_NAME])

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        """Return the CPUs on which the process's threads may run, some of them left out of account."""
        found: set[int] = set()
        for task in TASKS.iterdir():
            if (thread := int(task.name)) not in ignoring:
                with suppress(ProcessLookupError):
                    found |= os.sched_getaffinity(thread)
        return found


class Placement:
    """Where the threads of calls, and the event loop's, may run.

    A call that begins alone may run anywhere: other processes on the same CPUs are then placed as well as
    ever. With the second, each is bound to a CPU until it ends. The event loop has the CPUs on which no call
    is bound, or all if there is none. Where threads cannot be bound, they are left to the kernel for good.
    """

    def __init__(self, cpus: Collection[int], kernel: Kernel) -> None:
        """Bind nothing yet.

        Args:
            cpus: What the process may use: at least as many as calls run at a time.
            kernel: Binds threads.
        """
        self._all = frozenset(cpus)
        self._kernel = kernel
        self._bound: dict[int, frozenset[int]] = {}
        self._running: list[int] = []
        self._off = False

    def begin(self, thread: int) -> None:
        """Place a call that a thread is about to be given. Call on the event loop.

        Args:
            thread: The kernel's id.
        """
        self._running.append(thread)
        if len(self._running) == 1:
            self._bind(thread, self._all)
        else:
            self._place()
            self._place_event_loop()

    def end(self, thread: int) -> None:
        """Note that a thread's call is over. Call on the event loop."""
        self._running.remove(thread)
        self._place_event_loop()

    def _place(self) -> None:
        """Give each call a CPU: first those that run, which stay where they are, then the one that begins."""
        free = set(self._all)
        *running, beginning = self._running
        for thread in running:
            cpu = next(iter(self._bound[thread])) if self._is_bound(thread) else self._last_cpu(thread)
            self._take(thread, cpu, free)
        self._take(beginning, next(iter(self._bound.get(beginning, self._all))), free)

    def _take(self, thread: int, cpu: int | None, free: set[int]) -> None:
        """Bind a thread to a CPU, or to another one if that is not free."""
        if free:
            cpu = cpu if cpu in free else min(free)
            free.discard(cpu)
            self._bind(thread, frozenset({cpu}))

    def _place_event_loop(self) -> None:
        taken = [self._bound[thread] for thread in self._running if self._is_bound(thread)]
        self._bind(threading.get_native_id(), self._all.difference(*taken) or self._all)

    def _is_bound(self, thread: int) -> bool:
        return len(self._bound.get(thread, ())) == 1

    def _last_cpu(self, thread: int) -> int | None:
        with suppress(OSError, ValueError, IndexError):
            return self._kernel.ran_on(thread)
        return None

    def _bind(self, thread: int, cpus: frozenset[int]) -> None:
        if self._off or self._bound.get(thread, self._all) == cpus:
            return
        try:
            self._kernel.bind(thread, cpus)
        except OSError as error:
            self._give_up(error)
        else:
            self._bound[thread] = cpus

    def _give_up(self, error: OSError) -> None:
        self._off = True
        logger.info("threads cannot be bound to CPUs (%s), and are left to the kernel", error.strerror)
        # A container's CPUs may have changed: those of threads that were never bound are its own.
        with suppress(OSError):
            allowed = self._kernel.allowed(ignoring=self._bound)
            for thread in self._bound:
                with suppress(OSError):
                    self._kernel.bind(thread, allowed or self._all)


def place_calls(*, calls: int, threads: int, workers: int) -> Placement | None:
    """Return what places calls, or None where a call and a CPU of this process are not one to one.

    Args:
        calls: How many an engine does beside each other.
        threads: How many they have together.
        workers: Processes of this service on the same CPUs.
    """
    if calls != threads or workers > 1 or not one_cpu_each(threads):
        return None
    return Placement(os.sched_getaffinity(0), Linux())
