from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from mlapi.engines.beside import run_beside
from mlapi.errors import EngineError


def test_what_runs_beside_gives_results_in_order() -> None:
    """If it fails, a start gets the two compiled graphs the wrong way round."""
    meet = threading.Barrier(3, timeout=10)  # none of them gets on alone

    def double(number: int) -> int:
        meet.wait()
        return 2 * number

    assert run_beside(double, [1, 2, 3]) == [2, 4, 6]


def test_what_runs_beside_raises_the_first_error() -> None:
    """If it fails, a model that cannot be loaded is served, or ends in an error of another kind."""

    def refuse(number: int) -> int:
        if number:
            raise EngineError(f"number {number}")
        return number

    with pytest.raises(EngineError, match="number 1"):
        run_beside(refuse, [0, 1, 2])


def test_what_runs_beside_does_not_keep_the_process() -> None:
    """If it fails, a process that is told to end while its model loads stays until it has loaded."""
    script = (
        "import threading, time\n"
        "from mlapi.engines.beside import run_beside\n"
        "begun = threading.Event()\n"
        "def hang(_):\n"
        "    begun.set()\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=run_beside, args=(hang, [1, 2]), daemon=True).start()\n"
        "begun.wait()\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
