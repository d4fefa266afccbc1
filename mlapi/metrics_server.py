"""/metrics on a port of its own, while the service starts, works and drains, however slow the scraper is.

The server is the standard library's, what it serves is prometheus_client's.
"""

from __future__ import annotations

import io
import logging
import threading
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import IO, TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

logger = logging.getLogger(__name__)

PATH = "/metrics"
SCRAPER_TIMEOUT_S = 10.0
"""Seconds that one scraper may let pass between two steps of its request: it holds a thread meanwhile."""


@contextmanager
def serving_metrics(listener: socket.socket, registry: CollectorRegistry) -> Iterator[None]:
    """Serve a registry's metrics for as long as the context lasts.

    Args:
        listener: Bound and listening. Closed at the end.
        registry: Collected at every scrape, in the scrape's own thread.
    """
    server = _Server(listener, registry)
    thread = threading.Thread(target=server.serve_forever, name="mlapi-metrics", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    logger.info("metrics on http://%s:%d%s", f"[{host}]" if ":" in host else host, port, PATH)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each scrape, on a socket that somebody else has opened."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        address = listener.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_address = address
        self.server_name, self.server_port = address
        self.setup_environ()
        self._metrics = make_wsgi_app(registry)
        self.set_app(self._answer)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status = HTTPStatus.NOT_FOUND
        if environ["PATH_INFO"] == PATH:
            try:
                answer: Iterable[bytes] = self._metrics(environ, start_response)
            except Exception:
                logger.exception("the metrics could not be collected")
                status = HTTPStatus.INTERNAL_SERVER_ERROR
            else:
                return answer
        start_response(f"{status.value} {status.phrase}", [("Content-Length", "0")])
        return []

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Keep a scraper that hangs up, or is too slow, from filling the log."""
        logger.debug("a scrape of the metrics was broken off")


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        """Limit how long each step of the scrape may take."""
        super().setup()
        self.connection.settimeout(SCRAPER_TIMEOUT_S)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log no request."""

    def get_stderr(self) -> IO[str]:
        """Return where wsgiref puts its tracebacks, which are those of scrapers that went away: nowhere."""
        return io.StringIO()
