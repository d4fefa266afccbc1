"""Several server processes behind one socket, for machines without an orchestrator.

Each worker is this program again, serving the socket it inherited. A worker that ends is replaced, at most
once a second; one whose model is unfit ends them all. Their metrics are added up by prometheus_client's
multiprocess mode: every worker writes to files in a directory of this supervisor, and whichever worker is
scraped reads them all.
"""

from __future__ import annotations

import logging
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlapi.server import EXIT_OK, EXIT_UNFIT

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from types import FrameType

logger = logging.getLogger(__name__)

POLL_S = 0.1
RESTART_PAUSE_S = 1.0
RETIRED = "retired"
"""Stands for all ended workers in the names of metric files, where a living worker's process id stands."""


def supervise(
    listener: socket.socket, environment: Mapping[str, str], *, workers: int, patience: float
) -> int:
    """Run workers until a signal ends them.

    Args:
        listener: Bound socket that every worker serves.
        environment: The workers' whole environment.
        workers: How many.
        patience: Seconds after a signal until workers that still run are killed.

    Returns:
        The exit status for this process.
    """
    with tempfile.TemporaryDirectory(prefix="mlapi-metrics-") as directory:
        supervisor = Supervisor(
            listener, {**environment, "PROMETHEUS_MULTIPROC_DIR": directory}, metrics=Path(directory)
        )
        previous = {
            number: signal.signal(number, supervisor.on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            return supervisor.run(workers, patience=patience)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Supervisor:
    """Starts, watches, replaces and stops worker processes."""

    def __init__(self, listener: socket.socket, environment: Mapping[str, str], *, metrics: Path) -> None:
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
            retire_metrics(self._metrics, worker.pid)
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


def retire_metrics(directory: Path, pid: int) -> None:
    """Fold an ended worker's counters into one file for all ended workers, and drop its gauges.

    Without this, every worker that was ever replaced would leave files that each scrape reads; and without
    keeping the counts, every counter would step back.

    Args:
        directory: Of prometheus_client's multiprocess mode.
        pid: Process id of the ended worker.
    """
    from prometheus_client.mmap_dict import MmapedDict

    for kind in ("counter", "histogram", "summary"):
        path = directory / f"{kind}_{pid}.db"
        if not path.exists():
            continue
        try:
            values = list(MmapedDict.read_all_values_from_file(str(path)))
        except (struct.error, RuntimeError, ValueError):
            logger.warning("the metrics of worker %d were cut off when it ended; they are dropped", pid)
            values = []
        total = MmapedDict(str(directory / f"{kind}_{RETIRED}.db"))
        for key, value, timestamp, _ in values:
            total.write_value(key, total.read_value(key)[0] + value, timestamp)
        total.close()
        path.unlink()
    for path in directory.glob(f"gauge_*_{pid}.db"):
        path.unlink()


def worker_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with settings laid over it, for workers to read as their own.

    Args:
        settings: Setting names in lower case, without prefix, and values as the environment spells them.
    """
    return {**os.environ, **{f"MLAPI_{name.upper()}": value for name, value in settings.items()}}
