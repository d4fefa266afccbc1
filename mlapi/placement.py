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
    from collections.abc import Callable, Collection

logger = logging.getLogger(__name__)

TASKS = Path("/proc/self/task")

STATE, PROCESSOR = 3, 39
"""Fields of `/proc/PID/task/TID/stat`: what a thread does, and on which CPU it ran last (proc(5))."""

STAT_BYTES = 1024
"""More than there are."""

AFTER_NAME = 3
"""The first field behind the thread's name, which may hold blanks."""


class Kernel(Protocol):
    """What places threads. Threads are given by the kernel's ids. Everything may raise `OSError`."""

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        """Let a thread run on these CPUs alone."""

    def bound(self, thread: int) -> set[int]:
        """Return the CPUs on which a thread may run."""

    def look(self, thread: int) -> tuple[bool, int]:
        """Tell whether a thread runs, or would if it had a CPU, and return the CPU on which it ran last."""

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        """Return the CPUs on which the process's threads may run, some of them left out of account."""


class Linux:
    """A `Kernel`: sched_setaffinity(2), and what /proc tells."""

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        """Let a thread run on these CPUs alone."""
        os.sched_setaffinity(thread, cpus)

    def bound(self, thread: int) -> set[int]:
        """Return the CPUs on which a thread may run."""
        return os.sched_getaffinity(thread)

    def look(self, thread: int) -> tuple[bool, int]:
        """Tell whether a thread runs, or would if it had a CPU, and return the CPU on which it ran last."""
        # By hand: a file object would make three times as many system calls.
        file = os.open(TASKS / str(thread) / "stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(file, STAT_BYTES).rpartition(b")")[2].split()
        finally:
            os.close(file)
        return fields[STATE - AFTER_NAME] == b"R", int(fields[PROCESSOR - AFTER_NAME])

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        """Return the CPUs on which the process's threads may run, some of them left out of account."""
        found: set[int] = set()
        for task in TASKS.iterdir():
            if (thread := int(task.name)) not in ignoring:
                with suppress(ProcessLookupError):
                    found |= os.sched_getaffinity(thread)
        return found


class Placement:
    """Where the threads that compute calls, those that wait for them, and the event loop's may run.

    A call that begins alone may run anywhere: other processes on the same CPUs are then placed as well as
    ever. With the second, each computing thread gets a CPU, until a call begins alone. Who waits for a call
    is on the CPU of who computes it, which falls asleep when it wakes the other. The event loop has the CPUs
    on which no call is computed, or all if there is none, or it is not known. Where threads cannot be bound,
    they are left to the kernel for good.

    OpenVINO lets a thread run on all CPUs when it begins a call, and puts back at the end what was before.
    So a computing thread wakes up where it was bound, and is bound again when another call begins or ends.
    """

    def __init__(self, cpus: Collection[int], computing: Collection[int], kernel: Kernel) -> None:
        """Bind nothing yet.

        Args:
            cpus: What the process may use.
            computing: The threads in which calls are computed, as many as CPUs. Each takes the next call that
                is made when it is free, which nobody tells: it is seen by which of them run.
            kernel: Binds threads.
        """
        self._all = frozenset(cpus)
        self._kernel = kernel
        self._places = dict.fromkeys(sorted(computing), self._all)
        self._bound: dict[int, frozenset[int]] = {}
        self._calls: dict[int, int | None] = {}
        self._off = False

    def begin(self, caller: int) -> None:
        """Place a call that is about to be made. Call on the event loop.

        Args:
            caller: The thread that makes it and waits for it, by the kernel's id, as all threads here.
        """
        if self._calls:
            self._follow()
            free = self._free()
            self._calls[caller] = next(iter(free), None)
            self._join(caller)
            # Any of them may take it.
            self._place_event_loop(free if len(free) > 1 else [])
        else:
            self._calls[caller] = None
            self._places = dict.fromkeys(self._places, self._all)
            self._hold()
            self._bind(caller, self._all)
            self._place_event_loop([])

    def end(self, caller: int) -> None:
        """Note that a thread's call is over. Call on the event loop."""
        self._calls.pop(caller, None)
        if self._calls:
            self._follow()
        self._place_event_loop(self._free())

    def _follow(self) -> None:
        """See which thread computes each call: it may be another than was thought."""
        if self._off:
            return
        if not all(len(cpus) == 1 for cpus in self._places.values()):
            self._spread()
        self._hold()
        for caller, thread in self._calls.items():
            if thread is None or not self._look(thread)[0]:
                self._calls[caller] = next((free for free in self._free() if self._look(free)[0]), thread)
            self._join(caller)

    def _spread(self) -> None:
        """Give each computing thread a CPU: first those that run, which stay where they are."""
        seen = {thread: self._look(thread) for thread in self._places}
        free = set(self._all)
        for thread in sorted(seen, key=lambda thread: not seen[thread][0]):
            if free:
                _, cpu = seen[thread]
                cpu = cpu if cpu in free else min(free)
                free.discard(cpu)
                self._places[thread] = frozenset({cpu})

    def _hold(self) -> None:
        """Bind the computing threads to their places."""
        for thread, cpus in self._places.items():
            if not self._off:
                try:
                    if self._kernel.bound(thread) != cpus:
                        self._kernel.bind(thread, cpus)
                except OSError as error:
                    self._give_up(error)

    def _join(self, caller: int) -> None:
        """Have who made a call run where it is computed."""
        thread = self._calls[caller]
        if thread is not None:
            self._bind(caller, self._places[thread])

    def _free(self) -> list[int]:
        """Return the threads that compute no call."""
        return [thread for thread in self._places if thread not in self._calls.values()]

    def _place_event_loop(self, free: list[int]) -> None:
        """Give the event loop the CPUs of these threads, or all where there are none or it is not known."""
        known = None not in self._calls.values()
        cpus = frozenset().union(*(self._places[thread] for thread in free)) if known else frozenset()
        self._bind(threading.get_native_id(), cpus or self._all)

    def _look(self, thread: int) -> tuple[bool, int | None]:
        with suppress(OSError, ValueError, IndexError):
            return self._kernel.look(thread)
        return False, None

    def _bind(self, thread: int, cpus: frozenset[int]) -> None:
        """Bind a thread of ours, which nobody else binds."""
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
        placed = (*self._places, *self._bound)
        # A container's CPUs may have changed: those of threads that were never bound are its own.
        with suppress(OSError):
            allowed = self._kernel.allowed(ignoring=placed)
            for thread in placed:
                with suppress(OSError):
                    self._kernel.bind(thread, allowed or self._all)


def place_calls(find: Callable[[], Collection[int]], *, threads: int, workers: int) -> Placement | None:
    """Return what places calls, or None where a call and a CPU of this process are not one to one.

    Args:
        find: Returns the threads that compute calls beside each other, by the kernel's ids.
        threads: How many an engine has.
        workers: Processes of this service on the same CPUs.
    """
    if workers > 1 or not one_cpu_each(threads):
        return None
    computing = find()
    return Placement(os.sched_getaffinity(0), computing, Linux()) if len(computing) == threads else None
