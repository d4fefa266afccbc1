"""CPU time and memory of a process with all its descendants, from `/proc`. Linux only."""

from __future__ import annotations

import os
import re
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STATE, PARENT, USER, SYSTEM, ENDED_USER, ENDED_SYSTEM = 0, 1, 11, 12, 13, 14
"""Places in `/proc/PID/stat` after the name, which stands in brackets and may hold blanks (proc(5))."""


def cpu_s(process: int) -> float:
    """Return the CPU seconds, user and system, that a process and its descendants have used so far.

    Children that ended count with their parent once it has waited for them. The resolution is a clock tick,
    mostly 10 ms.

    Args:
        process: Its id.

    Raises:
        ProcessLookupError: There is no such process, or it has ended.
    """
    return sum(_ticks(stat) for stat in _tree(process).values()) / TICKS_PER_S


def memory_mb(process: int) -> float:
    """Return the resident memory of a process and its descendants in MB (10^6 bytes).

    Pages that several share are divided among them (PSS) where that may be read, or count for each.

    Args:
        process: Its id.

    Raises:
        ProcessLookupError: There is no such process, or it has ended.
    """
    return sum(_resident_kb(each) for each in _tree(process)) * 1024 / 1e6


def processes(process: int) -> list[int]:
    """Return the ids of a process and its descendants, the process first.

    Raises:
        ProcessLookupError: There is no such process, or it has ended.
    """
    return list(_tree(process))


def _tree(root: int) -> dict[int, list[str]]:
    """Return the fields of `stat` by process id, of a process and its descendants."""
    stats: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            stats[int(entry.name)] = stat
            children.setdefault(int(stat[PARENT]), []).append(int(entry.name))
    if root not in stats or stats[root][STATE] == "Z":
        raise ProcessLookupError(f"there is no process {root}")
    found = [root]
    for each in found:  # grows meanwhile
        found += children.get(each, [])
    return {each: stats[each] for each in found}


def _stat(process: int) -> list[str] | None:
    try:
        content = (PROC / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it ended meanwhile
    return content.rpartition(")")[2].split()


def _ticks(stat: list[str]) -> int:
    return sum(int(stat[place]) for place in (USER, SYSTEM, ENDED_USER, ENDED_SYSTEM))


def _resident_kb(process: int) -> int:
    for name, pattern in (("smaps_rollup", r"^Pss:\s+(\d+) kB"), ("status", r"^VmRSS:\s+(\d+) kB")):
        try:
            content = (PROC / str(process) / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # another user's, or it ended meanwhile
        if found := re.search(pattern, content, re.MULTILINE):
            return int(found[1])
    return 0
