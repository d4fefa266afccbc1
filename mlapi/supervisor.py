"""Several server processes behind one socket, for machines without an orchestrator.

Each worker is this program again, serving the socket it inherited. A worker that ends is replaced, at most
once a second; one whose model is unfit ends them all. Their metrics are added up by prometheus_client's
multiprocess mode: every worker writes to files in a directory of this supervisor, and whichever worker is
scraped reads them all. Where metrics have a port of their own, the supervisor serves them.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from mlapi.metrics_server import serving_metrics
from mlapi.server import EXIT_OK, EXIT_UNFIT
from mlapi.worker_metrics import WorkerMetrics

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from types import FrameType

logger = logging.getLogger(__name__)

POLL_S = 0.1
RESTART_PAUSE_S = 1.0


def supervise(
    listener: socket.socket,
    environment: Mapping[str, str],
    *,
    workers: int,
    patience: float,
    metrics_listener: socket.socket | None = None,
) -> int:
    """Run workers until a signal ends them.

    Args:
        listener: Bound socket that every worker serves.
        environment: The workers' whole environment.
        workers: How many.
        patience: Seconds after a signal until workers that still run are killed.
        metrics_listener: Bound socket to serve all workers' metrics on; without it each worker serves them.

    Returns:
        The exit status for this process.
    """
    with tempfile.TemporaryDirectory(prefix="mlapi-metrics-") as directory:
        metrics = WorkerMetrics(Path(directory))
        # Only a registry knows how to give a part of the metrics, as `name[]` asks for.
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(metrics)
        supervisor = Supervisor(
            listener, {**environment, "PROMETHEUS_MULTIPROC_DIR": directory}, metrics=metrics
        )
        previous = {
            number: signal.signal(number, supervisor.on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            with serving_metrics(metrics_listener, registry) if metrics_listener else nullcontext():
                return supervisor.run(workers, patience=patience)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Supervisor:
    """Starts, watches, replaces and stops worker processes."""

    def __init__(
        self, listener: socket.socket, environment: Mapping[str, str], *, metrics: WorkerMetrics
    ) -> None:
        """Keep what workers need; `run` starts them."""
        self._listener = listener
        self._environment = environment
        self._metrics = metrics
        self._workers: list[subprocess.Popen[bytes]] = []
        self._signal: int | None = None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal; the loop acts on it."""
        self._signal = number

    def run(self, workers: int, *, patience: float) -> int:
        """Keep `workers` processes running until a signal comes or one finds its model unfit."""
        self._workers = [self._start() for _ in range(workers)]
        try:
            while self._signal is None:
                time.sleep(POLL_S)
                if any(worker.poll() == EXIT_UNFIT for worker in self._workers):
                    logger.error("a worker cannot serve this model; stopping")
                    self._signal = signal.SIGTERM
                    self._stop(patience)
                    return EXIT_UNFIT
                self._replace_ended()
            self._stop(patience)
        finally:
            for worker in self._workers:
                worker.kill()
                worker.wait()
        return EXIT_OK

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        worker = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "mlapi", "serve", "--fd", str(descriptor)],
            env=dict(self._environment),
            pass_fds=[descriptor],
            # A Ctrl-C in the terminal must reach the supervisor alone, which then tells the workers.
            start_new_session=True,
        )
        logger.info("worker %d started", worker.pid)
        return worker

    def _replace_ended(self) -> None:
        ended = [worker for worker in self._workers if worker.poll() is not None]
        if not ended:
            return
        for worker in ended:
            logger.error("worker %d ended with status %s; starting another", worker.pid, worker.returncode)
            self._metrics.retire(worker.pid)
            self._workers.remove(worker)
        time.sleep(RESTART_PAUSE_S)
        self._workers += [self._start() for _ in ended]

    def _stop(self, patience: float) -> None:
        logger.info("stopping %d workers", len(self._workers))
        # Once the workers have closed theirs, a connection must be refused, not left waiting in this one.
        self._listener.close()
        for worker in self._workers:
            worker.send_signal(self._signal or signal.SIGTERM)
        end = time.monotonic() + patience
        while time.monotonic() < end and any(worker.poll() is None for worker in self._workers):
            time.sleep(POLL_S)


def worker_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with settings laid over it, for workers to read as their own.

    Args:
        settings: Setting names in lower case, without prefix, and values as the environment spells them.
    """
    return {**os.environ, **{f"MLAPI_{name.upper()}": value for name, value in settings.items()}}
