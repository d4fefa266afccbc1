"""A server's processes, all of them: most start several, and a killed parent ends none. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

POLL_S = 0.05


def session(leader: int) -> set[int]:
    """Return the ids of the living processes of a session, whoever their parent is by now.

    Args:
        leader: Id of the process that began the session, which may have ended.
    """
    return {pid for pid, state, session_id in _processes() if session_id == leader and state not in "ZX"}


@contextlib.contextmanager
def awake(leader: int) -> Iterator[None]:
    """Let a session's stopped processes go on, and stop them all again afterwards.

    Args:
        leader: Id of the process that began the session.
    """
    wake(leader)
    try:
        yield
    finally:
        stop(leader)


def stop(leader: int) -> None:
    """Stop all processes of a session (SIGSTOP), so that they take no CPU time from others."""
    for pid in session(leader):
        _signal(pid, signal.SIGSTOP)


def wake(leader: int) -> None:
    """Let them go on."""
    for pid in session(leader):
        _signal(pid, signal.SIGCONT)


def end(process: subprocess.Popen[bytes], *, patience_s: float) -> set[int]:
    """End a process that began a session, and everything in that session.

    It is asked first, as an operator's Ctrl-C or a container's stop does; what is left after that is killed.

    Args:
        process: Started with `start_new_session=True`.
        patience_s: How long it may take to end by itself.

    Returns:
        Ids of the processes that had to be killed.
    """
    _signal(process.pid, signal.SIGTERM)
    wake(process.pid)
    deadline = time.monotonic() + patience_s
    while (process.poll() is None or session(process.pid)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    killed = set()
    while left := session(process.pid):
        killed |= left
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(POLL_S)
        process.poll()
    process.wait()
    return killed


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _processes() -> Iterator[tuple[int, str, int]]:
    """Give id, state and session of every process; `man 5 proc`, /proc/PID/stat."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        # The name in parentheses may hold anything, so counting begins after the last of them.
        state, _parent, _group, session_id = stat.rpartition(")")[2].split()[:4]
        yield int(entry.name), state, int(session_id)
