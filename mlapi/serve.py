"""`mlapi serve`: one process, or a supervisor and its workers."""

from __future__ import annotations

import logging
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING

from mlapi.metrics_server import serving_metrics
from mlapi.redis_access import redis_access
from mlapi.resources import choose_threads
from mlapi.server import CLOSE_S, METRICS_SETTING, Server, bind, make_config, run
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
        ConfigurationError: An address cannot be listened on, or Redis cannot be reached as the settings say.
        ModelError: The directory has no readable manifest.
    """
    from mlapi.models.manifest import read_manifest

    if fd is not None:
        return _serve_here(settings, socket.socket(fileno=fd))
    listener = bind(settings.host, settings.port)
    metrics_listener = None
    if settings.metrics_port is not None:
        metrics_listener = bind(settings.host, settings.metrics_port, setting=METRICS_SETTING)
    # The commonest mistakes, before anything is started.
    read_manifest(settings.model)
    if settings.workers > 1:
        redis_access(settings)
        threads = choose_threads(settings.threads, workers=settings.workers)
        logger.info("%d workers with %d threads each (%s)", settings.workers, threads.count, threads.reason)
        environment = worker_environment(
            {
                "model": str(settings.model),
                "variant": settings.variant,
                # A worker listens on neither port, but must not find that the two are one.
                "host": settings.host,
                "port": str(settings.port),
                "prefix": settings.prefix,
                "threads": str(threads.count),
                "workers": str(settings.workers),
            }
        )
        patience = settings.drain_grace_s + settings.drain_timeout_s + CLOSE_S
        return supervise(
            listener,
            environment,
            workers=settings.workers,
            patience=patience,
            metrics_listener=metrics_listener,
        )
    return _serve_here(settings, listener, metrics_listener)


def _serve_here(
    settings: Settings, listener: socket.socket, metrics_listener: socket.socket | None = None
) -> int:
    from mlapi.main import create_app

    server: Server

    def on_fatal(error: Exception) -> None:
        server.fail(error)

    app = create_app(settings, on_fatal=on_fatal, expose_metrics=settings.metrics_port is None)
    config = make_config(app, drain_timeout=settings.drain_timeout_s)
    server = Server(config, serving=app.state.serving, grace=settings.drain_grace_s)
    registry = app.state.metrics.registry
    with serving_metrics(metrics_listener, registry) if metrics_listener else nullcontext():
        return run(app, listener, server)
