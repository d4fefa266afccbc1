"""Runs deploy.sh up to a call of its own and sends it a signal then.

done = run_until(prod, "kubectl rollout status", signal.SIGTERM, "--yes", "--image", PINNED)
assert done.returncode == 143
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment

REACHED_S = 120
# Well below what a stand-in waits that nobody ends.
ENDED_S = 30


def run_until(
    deployment: Deployment, words: str, number: signal.Signals, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run deploy.sh, send it the signal when it makes the call, and return how it ended.

    Args:
        deployment: Where it runs.
        words: The call, as `StandIns.calls` takes it.
        number: SIGINT, which as in a terminal reaches all that the script runs, or another, which reaches the
            script alone.
        arguments: Those of the script.

    Raises:
        subprocess.TimeoutExpired: It goes on, or has left something running that holds its output.
    """
    script = str(deployment.clone / "deploy.sh")
    # A shell cannot trap what was ignored when it began, as SIGINT is in whatever runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [os.environ.get("MLAPI_TEST_BASH", "bash"), script, *deployment.target(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=deployment.folder,
        env=deployment.tools.environment(),
        start_new_session=True,
    ) as process:
        end = time.monotonic() + REACHED_S
        while not deployment.tools.calls(words) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if process.poll() is None:
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        try:
            stdout, stderr = process.communicate(timeout=ENDED_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    deployment.tools.no_surprises()
    return subprocess.CompletedProcess(script, process.returncode, stdout, stderr)
