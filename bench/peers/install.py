"""Environments of the peers' own, made once; of one that cannot be made, the exact error is kept.

Under the folder of environments, NAME is the environment, NAME.freeze.txt what was installed, and
NAME.error.txt the end of pip's log where it failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers.peer import WORK, pins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.peers.peer import Peer

STAMP = "stamp-requirements"
LOG_LINES = 25
TORCH = "torch"


class InstallError(Exception):
    """An environment that cannot be made; the message is the end of the log."""


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is ready.

    Attributes:
        python: Its interpreter.
        freeze: Everything installed in it, as `pip freeze` writes it.
    """

    python: Path
    freeze: str


def install(
    peer: Peer, *, interpreter: str = sys.executable, work: Path = WORK, requirements: Path | None = None
) -> Environment:
    """Make the environment of a peer, unless it is there and was made from the same requirements.

    torch comes first and alone, and binds what follows: dependencies of the others would otherwise bring
    another of its versions, with gigabytes of libraries for accelerators.

    Args:
        peer: Peers with the same requirements share one.
        interpreter: Python to make it with.
        work: Where environments are kept.
        requirements: Other ones than the peer's own.

    Raises:
        InstallError: pip failed; the error is kept in NAME.error.txt, and the next call tries again.
    """
    requirements = requirements or peer.requirements
    stamp = _run([interpreter, "-VV"]) + _text(requirements)
    place = work / peer.environment
    python = place / "bin" / "python"
    freeze, failure = (work / f"{peer.environment}.{kind}.txt" for kind in ("freeze", "error"))
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work / f"{peer.environment}.lock"):
        if _text(place / STAMP) == stamp and python.exists() and freeze.exists():
            return Environment(python, _text(freeze))
        shutil.rmtree(place, ignore_errors=True)
        try:
            installed = _make(place, interpreter, requirements)
        except InstallError as error:
            failure.write_text(f"{error}\n", encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)
            raise
        failure.unlink(missing_ok=True)
        freeze.write_text(installed, encoding="utf-8")
        (place / STAMP).write_text(stamp, encoding="utf-8")
        return Environment(python, installed)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else makes that environment; the system opens the lock of one who died."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _make(place: Path, interpreter: str, requirements: Path) -> str:
    """Make the environment and return what is in it, as `pip freeze` writes it."""
    _run([interpreter, "-m", "venv", str(place)])
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    torch = [f"{name}=={version}" for name, version in pins(requirements).items() if name == TORCH]
    with tempfile.TemporaryDirectory() as directory:
        bounds = Path(directory, "bounds.txt")
        bounds.write_text("\n".join(torch), encoding="utf-8")
        if torch:
            _run([*pip, "install", *torch])
        _run([*pip, "install", "-c", str(bounds), "-r", str(requirements)])
    return _run([*pip, "freeze"])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _run(command: list[str]) -> str:
    """Run a command and return what it printed.

    Raises:
        InstallError: It failed.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING")]
        lines = lines[-LOG_LINES:]
        raise InstallError(
            "\n".join([f"{' '.join(command[1:])} ended with status {done.returncode}", *lines])
        )
    return done.stdout
