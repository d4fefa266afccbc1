"""A stand-in for the service that keeps every text that it is sent, and can be told to answer wrongly."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = ("NEGATIVE", "POSITIVE")


@dataclass(slots=True)
class Reply:
    """One answer, right as it is made.

    Attributes:
        predictions: One for each text.
        status: Of the response.
        headers: Those of the service's own.
    """

    predictions: list[list[dict[str, Any]]]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class RecordingService:
    """Speaks the service's language on a port of its own, with a cache that forgets nothing.

        with RecordingService(lambda reply: reply.headers.clear()) as service:
            attack(service.root)

    Attributes:
        requests: The route and the texts of each request for predictions, in the order in which they came.
    """

    def __init__(self, spoil: Callable[[Reply], None] = lambda _: None) -> None:
        """Open the port; `spoil` changes every answer but the first, which warms the cache."""
        self.requests: list[tuple[str, list[str]]] = []
        self._spoil = spoil
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def root(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, route: str, texts: list[str]) -> Reply:
        """Note one request and make its answer."""
        with self._lock:
            self.requests.append((route, texts))
            hits = sum(text in self._seen for text in texts)
            new = {text for text in texts if text not in self._seen}
            self._seen |= new
            warm = len(self.requests) > 1
        scores = ({"label": LABELS[1], "score": 0.75}, {"label": LABELS[0], "score": 0.25})
        reply = Reply([[dict(score) for score in scores] for _ in texts])
        coalesced = len(texts) - hits - len(new)
        reply.headers["X-Cache"] = f"hits={hits}, misses={len(new)}, coalesced={coalesced}"
        if warm:
            self._spoil(reply)
        return reply

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # all users connect at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    service: ClassVar[RecordingService]

    def do_GET(self) -> None:
        body = {"status": "healthy", "model": {"labels": LABELS}}
        self._send(200, body if self.path == "/project/health" else {}, {})

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        route = self.path.rpartition("/")[2]
        reply = self.service.answer(route, [text] if isinstance(text, str) else text)
        one = isinstance(text, str) and reply.predictions
        body = {"prediction": reply.predictions[0]} if one else {"predictions": reply.predictions}
        self._send(reply.status, body, reply.headers)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _send(self, status: int, body: object, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
