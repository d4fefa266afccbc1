"""A stand-in for the Kubernetes API server: HTTPS on a free port; notes requests and answers as told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@dataclass(slots=True)
class ApiServer:
    """What it was asked, and what it answers.

    Attributes:
        status: Of every answer.
        requests: Method, path, headers that say something, and body of each.
        port: On 127.0.0.1.
    """

    status: int = 200
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    port: int = 0


@contextmanager
def api_server(context: ssl.SSLContext, *, status: int = 200) -> Iterator[ApiServer]:
    """Run one with a certificate for as long as the block lasts."""
    noted = ApiServer(status)

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = {name: self.headers.get(name, "") for name in ("Authorization", "Content-Type")}
            noted.requests.append((self.command, self.path, said, body))
            answer = json.dumps({"kind": "Status", "code": noted.status, "message": "as told"}).encode()
            self.send_response(noted.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    noted.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
