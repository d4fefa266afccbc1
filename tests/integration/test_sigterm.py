"""SIGTERM while the service is still being imported, when no server is there to take it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

TOLD_TO_STOP = """
import os, signal, sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Stop())
"""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("name", ["mlapi.settings", "mlapi.log", "uvicorn", "mlapi.serve"])
def test_it_counts_before_the_server_is_there(
    tiny_model: Path, tmp_path: Path, workers: str, name: str
) -> None:
    """If it fails, SIGTERM keeps its default action, which the first process of a container never sees.

    A pod that is deleted as it starts would then live until it is killed.
    """
    (tmp_path / "sitecustomize.py").write_text(TOLD_TO_STOP.format(name=name), encoding="utf-8")
    environment = {"PYTHONPATH": str(tmp_path)}
    with ServerProcess(tiny_model, "--workers", workers, environment=environment, wait=False) as server:
        assert server.wait() == 128 + signal.SIGTERM  # -SIGTERM where nobody handled it
        assert "Traceback" not in server.log


TOLD_TO_STOP_AT_THE_END = """
import atexit, os, signal, sys
from mlapi.sigterm import end_on_sigterm

def clear_up():
    os.kill(os.getpid(), signal.SIGTERM)
    print("cleared up")

atexit.register(clear_up)
end_on_sigterm()
sys.exit(3)
"""


def test_it_leaves_a_process_alone_that_ends_anyway() -> None:
    """If it fails, a worker that ended by itself and is told to stop meanwhile logs a traceback."""
    command = [sys.executable, "-c", TOLD_TO_STOP_AT_THE_END]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "cleared up\n", "")
