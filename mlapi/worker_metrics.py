"""The metrics of several workers as one, from the files of prometheus_client's multiprocess mode."""

from __future__ import annotations

import logging
import struct
import threading
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client import Metric

logger = logging.getLogger(__name__)

RETIRED = "retired"
"""Stands for all ended workers in the names of metric files, where a living worker's process id stands."""


class WorkerMetrics(Collector):
    """The directory of those files. Used from several threads: of the supervisor, and of each scrape."""

    def __init__(self, directory: Path) -> None:
        """Keep the directory.

        Args:
            directory: Of prometheus_client's multiprocess mode.
        """
        self._directory = directory
        self._lock = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        """Return the sums, never with an ended worker counted twice or not at all."""
        from prometheus_client.multiprocess import MultiProcessCollector

        with self._lock:
            return list(MultiProcessCollector(None, path=str(self._directory)).collect())

    def retire(self, pid: int) -> None:
        """Fold an ended worker's counters into one file for all ended workers, and drop its gauges.

        Without this, every worker that was ever replaced would leave files that each scrape reads; and
        without keeping the counts, every counter would step back.

        Args:
            pid: Process id of the ended worker.
        """
        with self._lock:
            self._retire(pid)

    def _retire(self, pid: int) -> None:
        from prometheus_client.mmap_dict import MmapedDict

        for kind in ("counter", "histogram", "summary"):
            path = self._directory / f"{kind}_{pid}.db"
            if not path.exists():
                continue
            try:
                values = list(MmapedDict.read_all_values_from_file(str(path)))
            except (struct.error, RuntimeError, ValueError):
                logger.warning("the metrics of worker %d were cut off when it ended; they are dropped", pid)
                values = []
            total = MmapedDict(str(self._directory / f"{kind}_{RETIRED}.db"))
            for key, value, timestamp, _ in values:
                total.write_value(key, total.read_value(key)[0] + value, timestamp)
            total.close()
            path.unlink()
        for path in self._directory.glob(f"gauge_*_{pid}.db"):
            path.unlink()
