"""Server processes on free ports of this machine, each ended by its own id."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
OWN_VARIABLES = ("MLAPI_", "REDIS_")
"""Variables by which whoever starts the bench might have set up a service of their own."""


class StartError(Exception):
    """A server did not come up; the message holds the end of what it said."""


class Server:
    """One server process, from the beginning of a block to its end.

    Attributes:
        name: In messages.
        port: Of 127.0.0.1.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int], list[str]],
        *,
        ready: str,
        starts: tuple[bytes, int] = (b"", 0),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what to start; the block starts it.

        Args:
            name: In messages.
            command: Makes the command line from the port to listen on.
            ready: Path that answers GET with 200 once the server takes requests.
            starts: What each of so many processes writes once it can answer, where one port has several.
            environment: On top of this process's, from which what `OWN_VARIABLES` names is left out.
        """
        self.name = name
        self.port = free_port()
        self._command = command(self.port)
        self._ready = ready
        self._starts = starts
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OWN_VARIABLES)}
        self._environment = {**kept, **(environment or {})}

    @property
    def pid(self) -> int:
        """Id of the first process; others may hang below it."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            StartError: It ended, or took longer than `START_TIMEOUT_S`.
        """
        self._log = tempfile.TemporaryFile("w+b")
        self._process = subprocess.Popen(
            self._command, cwd=REPOSITORY, env=self._environment, stdout=self._log, stderr=self._log
        )
        end = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                said = self._said().decode(errors="replace")[-2000:].strip()
                self.__exit__()
                raise StartError(f"{self.name} did not start: {said or 'it said nothing'}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _is_ready(self) -> bool:
        word, times = self._starts
        if times and self._said().count(word) < times:
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            try:
                connection.request("GET", self._ready)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def _said(self) -> bytes:
        descriptor = self._log.fileno()
        # The process writes at the same file position, which must not move under it.
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def mlapi(model: Path, **settings: object) -> Server:
    """Return this project's service, not started.

    Args:
        model: The model directory.
        settings: In lower case, as in `mlapi.settings`; what is not given has its default.
    """
    workers = settings.get("workers", 1)
    given = {f"MLAPI_{name.upper()}": str(value) for name, value in settings.items()}
    return Server(
        "mlapi serve",
        lambda port: [sys.executable, "-m", "mlapi", "serve", "--model", str(model), "--port", str(port)],
        ready="/project/health",
        # One of several workers answers for all of them, and it may be the only one that is ready.
        starts=(b"ready: model", int(str(workers))),
        environment={"MLAPI_DRAIN_GRACE_S": "0", "MLAPI_LOG_FORMAT": "text", **given},
    )


def module(name: str, *arguments: str, ready: str) -> Server:
    """Return a server that is a module of this repository and takes `--port`, not started."""
    return Server(
        name, lambda port: [sys.executable, "-m", name, *arguments, "--port", str(port)], ready=ready
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
