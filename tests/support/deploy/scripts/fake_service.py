"""What the smoke test of deploy.sh finds: the service's health and one prediction, over HTTP or HTTPS."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "299abbbd653cfb85"
PREFIXES = ("/project", "/lab", "/project/v2")


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Make a certificate for a host name, its own authority; return the files of certificate and key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    how = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    name = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run(
        ["openssl", *how, "-keyout", str(key), "-out", str(certificate), *name],
        check=True,
        capture_output=True,
    )
    return certificate, key


@dataclass(slots=True)
class FakeService:
    """A server on a free port of 127.0.0.1.

    Attributes:
        broken: Prefixes whose health answers 503.
        cache: What health says of the cache.
        asked: Method, host name and path of every request, in their order.
    """

    tls: tuple[Path, Path] | None = None
    broken: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    cache: str = "ok"
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.answer(self, {"status": "healthy", "cache": service.cache})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                service.answer(self, {"prediction": [{"label": "POSITIVE", "score": 0.99}]})

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, body: dict[str, object]) -> None:
        """Answer a request for a known route, and 404 any other."""
        self.asked.append((request.command, request.headers["Host"], request.path))
        prefix, _, last = request.path.rpartition("/")
        known = prefix in PREFIXES and last == ("predict" if request.command == "POST" else "health")
        request.send_response(503 if prefix in self.broken else 200 if known else 404)
        request.send_header("X-Model-Version", VERSION)
        request.end_headers()
        request.wfile.write(json.dumps(body, separators=(",", ":")).encode())
