"""One server process: binds its socket, drains on SIGTERM, and says in one line what is wrong."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from mlapi.errors import ConfigurationError

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from mlapi.serving import Serving

logger = logging.getLogger(__name__)

ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another port with {}",
    errno.EACCES: "choose a port above 1023 with {}",
}
PORT_SETTING = "--port (make serve PORT=8001)"
METRICS_SETTING = "MLAPI_METRICS_PORT"

EXIT_OK = 0
EXIT_UNFIT = 3
"""Exit status of a process whose model cannot be served: starting it again would not help."""

BACKLOG = 2_048
KEEP_ALIVE_S = 75
"""Idle seconds before a connection is closed: longer than a proxy's, so that the proxy closes first."""
CLOSE_S = 5
"""Seconds for closing engine, caches and process after the last request."""


def bind(host: str, port: int, *, setting: str = PORT_SETTING) -> socket.socket:
    """Open the listening socket.

    Args:
        host: Name or address.
        port: Port; 0 takes a free one.
        setting: What chooses the port, for the message.

    Raises:
        ConfigurationError: Taken, not allowed, or no such address; says which setting to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)  # two sockets may bind one port; only one may listen
    except OSError as error:
        listener.close()
        advice = ADVICE.get(error.errno or 0, "choose another address with --host (make serve HOST=…)")
        advice = advice.format(setting)
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; {advice}"
        ) from None
    listener.set_inheritable(True)
    return listener


def run(app: FastAPI, listener: socket.socket, server: Server) -> int:
    """Serve until told to stop, and return the process's exit status."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.info(
        "listening on http://%s:%d%s", shown, port, str(app.openapi_url).removesuffix("/openapi.json")
    )
    server.run(sockets=[listener])
    return server.exit_status


class Server(uvicorn.Server):
    """A uvicorn server that goes on answering for a grace after SIGTERM, while readiness asks for no more."""

    def __init__(self, config: uvicorn.Config, *, serving: Serving, grace: float) -> None:
        """Make a server.

        Args:
            config: uvicorn's.
            serving: Told to drain.
            grace: Seconds between SIGTERM and the closing of the listener.
        """
        super().__init__(config)
        self.exit_status = EXIT_OK
        self._serving = serving
        self._grace = grace
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super()._serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM; on SIGINT or a second signal close the listener at once.

        Requests under way are finished in either case; a second SIGINT leaves them.
        """
        if sig == signal.SIGTERM and self._serving.phase != "draining" and self._loop is not None:
            logger.info("SIGTERM: draining for %g s", self._grace)
            self._serving.drain()
            self._loop.call_soon_threadsafe(self._loop.call_later, self._grace, self.stop)
            return
        super().handle_exit(sig, frame)
        # uvicorn would raise the signal again after its shutdown; a shutdown that was asked for is a success.
        self._captured_signals.clear()

    def stop(self) -> None:
        """Close the listener and finish what is under way."""
        self.should_exit = True

    def fail(self, _error: Exception) -> None:
        """Stop, because the model cannot be served."""
        self.exit_status = EXIT_UNFIT
        self.stop()


def make_config(app: FastAPI, *, drain_timeout: float) -> uvicorn.Config:
    """Return uvicorn's settings: nothing of its own logging, because paths and messages may quote a text."""
    return uvicorn.Config(
        app,
        loop="auto",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(drain_timeout)),
    )
