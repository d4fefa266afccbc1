"""Services behind an Envoy, of which the tests of routing count requests."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from tests.support.fakes import INFO
from tests.support.http_server import HOST, HttpServer, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


class Pod:
    """A real service with a fake engine, which holds every text while the engine's gate is closed."""

    def __init__(self, **settings: Any) -> None:
        self.engine = FakeEngine()
        classifier = Classifier(INFO, TokenReader(FakeTokenizer(), self.engine))
        self._server = HttpServer(classifier=classifier, **settings)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.gate.set()
        self._server.__exit__(None, None, None)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def client(self) -> httpx.Client:
        """A client that reaches it past Envoy; its paths start under the prefix."""
        return self._server.client

    def metric(self, name: str) -> float:
        """Return one sample; 0 where it does not exist yet."""
        return samples(self.client.get(f"{self._server.root}/metrics").text).get(name, 0)

    def answered(self, status: int) -> int:
        """Return how many `predict` requests it has answered with this status."""
        labels = f'handler="/project/predict",method="POST",status="{status}"'
        return int(self.metric(f"http_requests_total{{{labels}}}"))


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        port: int = held.getsockname()[1]
        yield port


class DyingPod(socketserver.ThreadingTCPServer):
    """Takes a request and closes the connection without an answer, as a process does that is killed at work.

    Attributes:
        requests: How many it took.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.requests = 0
        super().__init__((HOST, 0), _ReadAndClose)
        self.port: int = self.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _ReadAndClose(socketserver.BaseRequestHandler):
    server: DyingPod

    def handle(self) -> None:
        if self.request.recv(65_536):
            self.server.requests += 1
