"""How many CPUs this process may really use: the container's quota, the affinity mask, then the machine.

`os.cpu_count()` and the affinity mask do not see a CFS quota, which is how containers are limited. Sources:
the kernel's documentation of cgroup v2 (`cpu.max`) and of the v1 CFS bandwidth files.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_cpus(root: Path = CGROUP_ROOT) -> int:
    """Return the number of CPUs to size threads by: at least 1, quotas rounded up.

    Args:
        root: Where the cgroup file system of this container is mounted.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def engine_threads(asked: int | None, *, workers: int = 1) -> int:
    """Return the CPU threads of one engine call: those asked for, or this process's share of the CPUs.

    Args:
        asked: The setting, None where there is none.
        workers: Processes that share the CPUs.
    """
    return asked or max(1, available_cpus() // workers)


def cpu_quota(root: Path = CGROUP_ROOT) -> float | None:
    """Return the container's CPU quota in CPUs, or None where there is none.

    Args:
        root: Where the cgroup file system of this container is mounted.
    """
    v2 = _read(root / "cpu.max").split()
    if len(v2) == 2:  # noqa: PLR2004 - "quota period", or "max period"
        return None if v2[0] == "max" else _ratio(v2[0], v2[1])
    quota = _read(root / "cpu" / "cpu.cfs_quota_us")
    period = _read(root / "cpu" / "cpu.cfs_period_us")
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cpus if cpus > 0 else None  # v1 says -1 for "no quota"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
