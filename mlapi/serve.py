"""`mlapi serve`: one process, or a supervisor and its workers."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from mlapi.resources import choose_threads
from mlapi.server import Server, bind, make_config, run
from mlapi.supervisor import supervise, worker_environment

if TYPE_CHECKING:
    from mlapi.settings import Settings

logger = logging.getLogger(__name__)


def serve(settings: Settings, *, fd: int | None = None) -> int:
    """Serve until told to stop.

    Args:
        settings: How.
        fd: Inherited listening socket, in a worker of the supervisor.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: The address cannot be listened on.
        ModelError: The directory has no readable manifest.
    """
    from mlapi.models.manifest import read_manifest

    if fd is not None:
        return _serve_here(settings, socket.socket(fileno=fd))
    listener = bind(settings.host, settings.port)
    read_manifest(settings.model)  # the commonest mistakes, before anything is started
    if settings.workers > 1:
        threads = choose_threads(settings.threads, workers=settings.workers)
        logger.info("%d workers with %d threads each (%s)", settings.workers, threads.count, threads.reason)
        environment = worker_environment(
            {
                "model": str(settings.model),
                "variant": settings.variant,
                "prefix": settings.prefix,
                "threads": str(threads.count),
                "workers": "1",
            }
        )
        patience = settings.drain_grace_s + settings.drain_timeout_s + 5
        return supervise(listener, environment, workers=settings.workers, patience=patience)
    return _serve_here(settings, listener)


def _serve_here(settings: Settings, listener: socket.socket) -> int:
    from mlapi.main import create_app

    server: Server

    def on_fatal(error: Exception) -> None:
        server.fail(error)

    app = create_app(settings, on_fatal=on_fatal)
    config = make_config(app, drain_timeout=settings.drain_timeout_s)
    server = Server(config, serving=app.state.serving, grace=settings.drain_grace_s)
    return run(app, listener, server)
