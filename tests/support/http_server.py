"""The real service on a real port: in a thread of the test's process, or as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from mlapi.main import create_app
from mlapi.server import Server, bind, make_config, run
from mlapi.settings import Settings
from tests.support.fakes import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from fastapi import FastAPI

    from mlapi.api.problems import Kind
    from mlapi.classifier import Classifier
    from mlapi.ports import Cache

REPOSITORY = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
"""A fresh process, measured for coverage on a busy machine, takes seconds to import what it needs."""

JSON = {"Content-Type": "application/json"}


class HttpServer:
    """The app behind uvicorn, in a background thread.

        with HttpServer(tiny.path, stuck_after_s=0.2) as server:
            server.client.post("/predict", json={"text": "a good film"})

    Attributes:
        app: What is served.
        server: uvicorn's server, to send a signal's worth of `handle_exit` to.
        port: Its TCP port.
        client: An HTTP client whose paths start under the prefix.
        status: The exit status; None while it runs.
    """

    def __init__(
        self,
        model: Path | None = None,
        *,
        classifier: Classifier | Callable[[], Classifier] | None = None,
        cache: Cache | None = None,
        app: FastAPI | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> None:
        """Build everything; nothing is started here.

        Args:
            model: Model directory.
            classifier: Answers in its place; or what makes it, called in a thread while the service starts.
            cache: As in `create_app`.
            app: As it is, in place of one built from the rest; `settings` are still those of the server.
            wait: Whether entering the context waits until the service is healthy.
            settings: Overrides of `Settings`. Nothing is cached in Redis unless they say so.
        """
        given: dict[str, Any] = {
            "redis_url": "memory://",
            "drain_grace_s": 0,
            "drain_timeout_s": 5,
            **settings,
        }
        if model is not None:
            given["model"] = model
        self.settings = Settings(**given)
        self.app = app or create_app(self.settings, classifier=classifier, cache=cache, on_fatal=self._fail)
        config = make_config(self.app, drain_timeout=self.settings.drain_timeout_s)
        self.server = Server(config, serving=self.app.state.serving, grace=self.settings.drain_grace_s)
        self._listener = bind(HOST, 0)
        self.port: int = self._listener.getsockname()[1]
        self.client = make_client(f"{self.root}{self.settings.prefix}")
        self.status: int | None = None
        self._wait = wait
        self._thread = threading.Thread(target=self._serve, name="test-server", daemon=True)

    @property
    def root(self) -> str:
        """The address without the prefix."""
        return f"http://{HOST}:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        """Do what the signal would do to a process of its own."""
        self.server.handle_exit(number, None)

    def join(self) -> int | None:
        """Wait for the end and return the exit status."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the server does not end"
        return self.status

    def __enter__(self) -> Self:
        self._thread.start()
        if self._wait:
            wait_until(lambda: self._thread.is_alive() and is_healthy(self.client), timeout=START_TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.server.stop()
        self._thread.join(PATIENCE_S)
        self._listener.close()
        if error is None:
            assert not self._thread.is_alive(), "the server does not end"

    def _fail(self, error: Exception) -> None:
        self.server.fail(error)

    def _serve(self) -> None:
        self.status = run(self.app, self._listener, self.server)


class ServerProcess:
    """`python -m mlapi serve` on a free port, with its log in a file.

    Attributes:
        client: An HTTP client whose paths start under the prefix; there once the service listens.
    """

    def __init__(
        self,
        model: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """Keep what to run.

        Args:
            model: Model directory.
            arguments: More of `mlapi serve`'s command line.
            environment: Variables on top of those of `clean_environment`.
            wait: Whether entering the context waits until the service is healthy.
        """
        self._arguments = ("serve", "--model", str(model), "--host", HOST, "--port", "0", *arguments)
        self._environment = {"MLAPI_DRAIN_GRACE_S": "0", **(environment or {})}
        self._wait = wait
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        """An HTTP client whose paths start under the prefix."""
        if self._client is None:
            self._client = make_client(self.address())
        return self._client

    @property
    def root(self) -> str:
        """The address without the prefix."""
        url = self.client.base_url
        return f"http://{url.host}:{url.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What the process wrote so far."""
        return self._log.read_text(encoding="utf-8")

    def events(self) -> list[dict[str, Any]]:
        """Return the log's lines as the JSON objects that they are."""
        return [json.loads(line) for line in self.log.splitlines()]

    def address(self) -> str:
        """Wait until the service says where it listens, and return that."""
        pattern = re.compile(r"listening on (http://[^\"\s]+)")
        wait_until(lambda: bool(pattern.search(self.log)) or self.ended, timeout=START_TIMEOUT_S)
        found = pattern.search(self.log)
        assert found, f"the service did not start; it said:\n{self.log}"
        return found[1]

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def wait(self, timeout: float = START_TIMEOUT_S) -> int:
        """Wait for the end and return the exit status."""
        return self.process.wait(timeout)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="mlapi-test-")
        self._log = Path(self._directory.name) / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlapi", *self._arguments],
                cwd=REPOSITORY,
                env=clean_environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if self._wait:
            try:
                wait_until(lambda: self.ended or is_healthy(self.client), timeout=START_TIMEOUT_S)
                assert not self.ended, f"the service did not start; it said:\n{self.log}"
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()
        if not self.ended:
            # Not killed at once: a process that ends by itself writes what it measured.
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._directory.cleanup()


def run_cli(
    *arguments: str | bytes,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    timeout: float = START_TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:
    """Run one command of `python -m mlapi` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "mlapi", *arguments],
        cwd=REPOSITORY,
        env=clean_environment(environment or {}),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode()
    )


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of the service, and `extra` on top."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLAPI_", "REDIS_", "PROMETHEUS_"))
    }
    return {**kept, **extra}


def make_client(base_url: str) -> httpx.Client:
    """Return a client that uses no proxy, whatever the environment says, and serves many threads at once.

    It keeps every connection: where httpx closes surplus ones, it may close one that another thread was just
    given.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
    return httpx.Client(base_url=base_url, trust_env=False, timeout=PATIENCE_S * 3, limits=limits)


def is_healthy(client: httpx.Client) -> bool:
    """Tell whether readiness says so; False while nobody listens."""
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], *, timeout: float = PATIENCE_S) -> None:
    """Wait until the condition holds; fail the test when it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.01)


def samples(text: str) -> dict[str, float]:
    """Read an exposition of metrics into values by name and labels, written as they were."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def assert_problem(response: httpx.Response, kind: Kind) -> dict[str, Any]:
    """Check that a response is the problem it should be, whole and well-formed, and return its body."""
    assert response.status_code == kind.status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert body["type"] == kind.type
    assert body["title"] == kind.title
    assert body["status"] == kind.status
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def raw_exchange(port: int, request: bytes) -> bytes:
    """Send bytes as they are, and return what comes back until the server closes the connection."""
    with socket.create_connection((HOST, port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        answer = b""
        while received := connection.recv(65_536):
            answer += received
        return answer
