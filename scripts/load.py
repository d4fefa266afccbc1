"""Run load.js in a short form, against a `mlapi serve` of its own or one that is already there.

    make load
    make load HOLD=1m USERS=20
    make load BASE_URL=http://127.0.0.1:8000 ARGS='--out csv=load.csv'

Without BASE_URL or NAMESPACE, in the environment or among the arguments, it starts the service on a free port
of this machine, with the settings of the environment, and ends it afterwards. The arguments are k6's, and so
is the exit status: 99 where a threshold was crossed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scripts.measure import REPOSITORY, Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORT = {
    "RAMP_UP": "3s",
    "HOLD": "15s",
    "RAMP_DOWN": "2s",
    "SUMMARY": "build/load-summary.json",
    "K6_NO_USAGE_REPORT": "true",
}
"""What differs from the defaults of load.js and k6. Variables of the environment, and -e, win over these."""

ADDRESS = re.compile(r"(?:-e|--env)?=?(?:BASE_URL|NAMESPACE)=.+")
NO_K6 = (
    "error: there is no k6, neither on PATH nor beside this Python. On x86-64 Linux, make venv-dev installs "
    "it; elsewhere see https://grafana.com/docs/k6/latest/set-up/install-k6/"
)


def find_k6() -> str | None:
    """Return the path of k6: the one on PATH, or else the one of this Python's environment."""
    return shutil.which("k6") or shutil.which("k6", path=str(Path(sys.executable).parent))


def has_address(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Tell whether it is said where the service is."""
    given = any(environment.get(name) for name in ("BASE_URL", "NAMESPACE"))
    return given or any(ADDRESS.fullmatch(argument) for argument in arguments)


def run_k6(k6: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run k6 to its end, also where Ctrl-C or SIGTERM asks for it: it then still writes its summary."""
    command = [k6, "run", *arguments, "load.js"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=dict(environment))  # noqa: S603 - as the caller wants
    try:
        return process.wait()
    except KeyboardInterrupt:  # a terminal has told k6, too
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def main(arguments: Sequence[str], k6: str | None) -> int:
    """Run the test and return k6's exit status."""
    if k6 is None:
        sys.exit(NO_K6)
    signal.signal(signal.SIGTERM, _end)
    (REPOSITORY / "build").mkdir(exist_ok=True)
    environment = {**SHORT, **os.environ}
    if has_address(arguments, environment):
        return run_k6(k6, arguments, environment)
    service = Service(["--host", "127.0.0.1"])
    try:
        service.wait_until_ready()
        address = f"http://127.0.0.1:{service.connection.port}"
        print(f"mlapi serve is ready on {address}{service.prefix}", flush=True)
        service.connection.close()
        return run_k6(k6, arguments, {**environment, "BASE_URL": address, "PREFIX": service.prefix})
    finally:
        service.stop()


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], find_k6()))
