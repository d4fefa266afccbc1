"""The memory of a container, as the kernel counts it and as Kubernetes reads it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

from bench.host import memory_mb

CGROUPS = Path("/sys/fs/cgroup")
LOOK_EVERY_S = 0.1


class MemoryWatch:
    """Looks at the cgroup of a process again and again, from another thread.

    The working set is usage without the file pages that were not used lately. It is what the kubelet evicts
    by and what an autoscaler reads (cAdvisor's `container_memory_working_set_bytes`); the kernel's own peak
    also counts file pages that it would give back at once.
    """

    def __init__(self, process: int) -> None:
        """Find the cgroup, of version 2 or 1.

        Args:
            process: Its id.
        """
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._peak_mb = 0.0
        lines = Path(f"/proc/{process}/cgroup").read_text(encoding="ascii").splitlines()
        places = {controllers: place for _, controllers, place in (line.split(":", 2) for line in lines)}
        if (CGROUPS / "cgroup.controllers").exists():
            folder = CGROUPS / places[""].lstrip("/")
            self._usage, self._inactive = folder / "memory.current", "inactive_file"
        else:
            folder = CGROUPS / "memory" / places["memory"].lstrip("/")
            self._usage, self._inactive = folder / "memory.usage_in_bytes", "total_inactive_file"
        self._statistics = folder / "memory.stat"

    def now(self) -> tuple[float, float, float]:
        """Return the working set, its peak so far, and the highest resident memory, in 10^6 bytes."""
        working_set = self._working_set_mb()
        self._peak_mb = max(self._peak_mb, working_set)
        return working_set, self._peak_mb, memory_mb(self._process)[1]

    def _working_set_mb(self) -> float:
        statistics = dict(line.split() for line in self._statistics.read_text(encoding="ascii").splitlines())
        usage = int(self._usage.read_text(encoding="ascii"))
        return max(0, usage - int(statistics[self._inactive])) / 1e6

    def _look(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._peak_mb = max(self._peak_mb, self._working_set_mb())
            except OSError:
                return  # the container has ended, which whoever sends it requests will notice

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
