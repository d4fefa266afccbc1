"""CPU time and memory of process trees."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.load.usage import cpu_s, memory_mb, processes

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
HOLD = BURN + "held = bytearray(30_000_000); print(1, flush=True); input()"
TREE = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
held = bytearray(30_000_000)
child = subprocess.Popen([sys.executable, "-c", {HOLD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
input()
child.communicate(b"\\n")
"""


def test_descendants_count_whether_they_live_or_ended() -> None:
    """If this fails, servers with worker processes seem to cost nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tree:
        assert tree.stdout is not None
        assert tree.stdin is not None
        assert tree.stdout.readline() == b"ready\n"
        used, held, members = cpu_s(tree.pid), memory_mb(tree.pid), processes(tree.pid)
        tree.communicate(b"\n")
    assert 0.6 <= used < 5  # one child that ended, one that lives, 0.3 s each
    assert 60 < held < 200
    assert len(members) == 2
    assert members[0] == tree.pid


def test_own_use_is_as_the_system_tells_it() -> None:
    """If this fails, the unit is wrong."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    assert cpu_s(os.getpid()) == pytest.approx(own, abs=0.1)


def test_a_process_that_is_gone_is_an_error() -> None:
    """If this fails, a server that died seems to need no CPU time at all."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    with pytest.raises(ProcessLookupError):
        cpu_s(gone.pid)
    with pytest.raises(ProcessLookupError):
        memory_mb(gone.pid)
