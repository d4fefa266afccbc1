"""Finds the threads in which a runtime does what it is asked for, which it does not tell."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = Path("/proc/self/task")

TIMES_OTHERS, TIMES_EACH_OTHER = 2, 4
"""Those that work use the CPU so much more than any other thread, and no more than that than each other."""

LEAST_NS = 1_000_000
"""Of a CPU's time that work takes. To wake up and fall asleep again, for whatever reason, takes less."""


def busy_threads(work: Callable[[], None], *, count: int) -> frozenset[int]:
    """Return the kernel's ids of the `count` threads, not made by Python, that use the CPU during `work`.

    An empty set if it is not as many: one did it all, others worked as well, or the kernel does not tell how
    long a thread had a CPU (macOS, gVisor).
    """
    before = _used()
    work()
    own = {thread.native_id for thread in threading.enumerate()}
    used = {thread: time - before.get(thread, 0) for thread, time in _used().items() if thread not in own}
    busy = sorted(used, key=lambda thread: used[thread], reverse=True)
    most, least, other = (used[busy[place]] if place < len(busy) else 0 for place in (0, count - 1, count))
    clear = least > max(TIMES_OTHERS * other, most / TIMES_EACH_OTHER, LEAST_NS)
    return frozenset(busy[:count]) if clear else frozenset()


def _used() -> dict[int, int]:
    """Return for how many nanoseconds each thread of the process had a CPU (proc(5), schedstat)."""
    used = {}
    with suppress(OSError):
        for task in TASKS.iterdir():
            with suppress(OSError, ValueError, IndexError):  # it ended meanwhile
                used[int(task.name)] = int((task / "schedstat").read_bytes().split()[0])
    return used
