"""What this process may use: how many CPUs, and what they can do.

`os.cpu_count()` and the affinity mask do not see a CFS quota, which is how containers are limited. Sources:
the kernel's documentation of cgroup v2 (`cpu.max`), of the v1 CFS bandwidth files and of `/proc/PID/cgroup`.
"""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mlapi.types import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
CPU_INFO = Path("/proc/cpuinfo")
NVIDIA = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/proc/driver/nvidia"))
ARCHITECTURES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}

MOST_ON_CPUS_OF_THEIR_OWN = 4
"""Most threads that get a CPU each: where there are more, one is idle more often (ADR 27)."""


@dataclass(frozen=True, slots=True)
class Threads:
    """How many threads an engine gets.

    Attributes:
        count: That many, at least 1.
        reason: What decided it, for people.
    """

    count: int
    reason: str


def choose_threads(
    asked: int | None, *, workers: int = 1, root: Path = CGROUP_ROOT, membership: Path = MEMBERSHIP
) -> Threads:
    """Return the CPU threads of the engine: those asked for, or this process's share of the CPUs.

    Args:
        asked: The setting, None where there is none.
        workers: Processes that share the CPUs.
        root: Where the cgroup file system is mounted.
        membership: Which cgroups this process is in.
    """
    if asked:
        return Threads(asked, "as set")
    cpus, source = _cpus(root, membership)
    share = f", shared by {workers} workers" if workers > 1 else ""
    return Threads(max(1, cpus // workers), f"{source}{share}")


def engine_threads(asked: int | None, *, workers: int = 1) -> int:
    """Return the number of `choose_threads`."""
    return choose_threads(asked, workers=workers).count


def available_cpus(root: Path = CGROUP_ROOT, membership: Path = MEMBERSHIP) -> int:
    """Return the number of CPUs to size threads by: at least 1.

    Quotas are rounded down. Threads of one call wait for each other, so that one that is throttled holds all.
    Under a quota of 1, two threads answered a fifth to a quarter of the single texts that one did. Under 1.5
    two had the better median and at least twice the p99; the half CPU is worth more to tokenisation and the
    event loop.

    Args:
        root: Where the cgroup file system is mounted.
        membership: Which cgroups this process is in.
    """
    return _cpus(root, membership)[0]


def cpu_quota(root: Path = CGROUP_ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Return the CPU quota in CPUs, or None where there is none.

    The kernel enforces the quota of every cgroup from the process's own up to the root: the tightest counts.

    Args:
        root: Where the cgroup file system is mounted. In a container that is usually its own cgroup.
        membership: Which cgroups this process is in, in the form of `/proc/self/cgroup`.
    """
    paths = _memberships(membership)
    v2 = [_read(place / "cpu.max").split() for place in _upwards(root, paths.get("", "/"))]
    if any(v2):
        return _tightest(_ratio(*line) for line in v2 if len(line) == 2)  # noqa: PLR2004 - "quota period"
    return _tightest(
        _ratio(_read(place / "cpu.cfs_quota_us"), _read(place / "cpu.cfs_period_us"))
        for place in _upwards(root / "cpu", paths.get("cpu", "/"))
    )


def one_cpu_each(threads: int) -> bool:
    """Tell whether threads can have a CPU each, with none to spare, so that it matters where they run.

    Args:
        threads: How many; beyond `MOST_ON_CPUS_OF_THEIR_OWN` the answer is no.
    """
    if not 1 < threads <= MOST_ON_CPUS_OF_THEIR_OWN or not hasattr(os, "sched_setaffinity"):
        return False
    return len(os.sched_getaffinity(0)) == threads


def this_machine(cpu_info: Path = CPU_INFO, nvidia: tuple[Path, ...] = NVIDIA) -> Machine:
    """Return what the choice of a variant depends on, without loading anything.

    Args:
        cpu_info: The kernel's description of the CPUs.
        nvidia: Files of which one is there where there is an NVIDIA device.
    """
    name = platform.machine().lower()
    arch = ARCHITECTURES.get(name, name)
    flags: set[str] = set()
    for line in _read(cpu_info).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:  # x86 and arm64
            flags.update(value.split())
            break
    if sys.platform == "darwin" and arch == "arm64":
        flags.add("asimddp")  # every one of Apple's own
    cuda = any(path.exists() for path in nvidia) and importlib.util.find_spec("torch") is not None
    return Machine(arch=arch, flags=frozenset(flags), cuda=cuda)


def _cpus(root: Path, membership: Path) -> tuple[int, str]:
    """Return the number of CPUs to size threads by, and what says so."""
    everything = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everything
    quota = cpu_quota(root, membership)
    if quota is not None and quota <= affinity:
        return max(1, math.floor(quota)), f"quota of {_cpus_word(quota)}"
    if affinity < everything:
        return affinity, f"affinity to {_cpus_word(affinity)} of {everything}"
    return affinity, f"machine of {_cpus_word(affinity)}"


def _cpus_word(count: float) -> str:
    return f"{count:g} CPU{'' if count == 1 else 's'}"


def _memberships(path: Path) -> dict[str, str]:
    """Return this process's cgroup by controller; that of version 2, which has no such list, under ''."""
    found = {}
    for line in _read(path).splitlines():
        _, _, rest = line.partition(":")
        controllers, separator, place = rest.partition(":")
        if separator:
            found.update(dict.fromkeys(controllers.split(","), place))
    return found


def _upwards(root: Path, place: str) -> list[Path]:
    """Return the folders of a cgroup and of all above it, down from the root of the mount."""
    parts = PurePosixPath(place).parts[1:]
    if ".." in parts:  # the cgroup lies outside of what is mounted here
        parts = ()
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _tightest(quotas: Iterable[float | None]) -> float | None:
    return min((quota for quota in quotas if quota is not None), default=None)


def _ratio(quota: str, period: str) -> float | None:
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cpus if cpus > 0 else None  # v1 says -1 for "no quota", v2 says max


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
