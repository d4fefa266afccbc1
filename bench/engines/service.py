"""A whole `mlapi serve` with the int8 model: seconds until it is ready, and memory under full batches."""

from __future__ import annotations

import http.client
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.engines.verdicts import SUBJECT
from bench.host import memory_mb
from bench.model import texts
from scripts.measure import Service

if TYPE_CHECKING:
    from bench.model import Size

TEXTS, TOKENS = 32, 128
BATCHES = 10


@dataclass(frozen=True, slots=True)
class ServiceCosts:
    """What a service with the int8 model costs.

    Attributes:
        start_s: Seconds from process start to the first healthy answer, of each start.
        start_cached_s: The same with the compiled model cached on disk.
        resident_mb: Resident memory after batches of 32x128, in 10^6 bytes.
        peak_mb: The most it was, loading included.
    """

    start_s: list[float]
    start_cached_s: list[float]
    resident_mb: float
    peak_mb: float


def measure_service(directory: Path, size: Size, *, threads: int, starts: int) -> ServiceCosts:
    """Start the service time and again, digests and golden texts checked each time.

    Args:
        directory: A model directory with the subject's variant.
        size: Of its model.
        threads: Threads of one inference call.
        starts: How often to start it in each way, after one start that does not count.
    """
    with tempfile.TemporaryDirectory(prefix="mlapi-bench-") as cache:
        ways: dict[str, list[float]] = {"": [], cache: []}
        for number in range(starts + 1):
            for way, seconds in ways.items():
                how = "compiled model cached" if way else "plain"
                print(f"start {number} of {starts}, {how}", file=sys.stderr, flush=True)
                service = _start(directory, threads=threads, compiled_cache=way)
                try:
                    needed = service.wait_until_ready()
                finally:
                    service.stop()
                if number:  # the first start reads from disk what later ones find in memory
                    seconds.append(needed)
        if not any(Path(cache).iterdir()):
            sys.exit("the service kept no compiled model in MLAPI_COMPILED_CACHE; see its log for the reason")
    resident, peak = _memory(directory, size, threads=threads)
    return ServiceCosts(ways[""], ways[cache], resident, peak)


def _start(directory: Path, *, threads: int, compiled_cache: str = "") -> Service:
    environment = {"MLAPI_MAX_BATCH_TOKENS": str(TEXTS * TOKENS)}
    if compiled_cache:
        environment["MLAPI_COMPILED_CACHE"] = compiled_cache
    arguments = ["--model", str(directory), "--variant", SUBJECT, "--threads", str(threads)]
    return Service(arguments, environment=environment)


def _memory(directory: Path, size: Size, *, threads: int) -> tuple[float, float]:
    service = _start(directory, threads=threads)
    try:
        service.wait_until_ready()
        body = {"text": texts(size, count=TEXTS * BATCHES, lengths=(TOKENS, TOKENS), seed=2)}
        status, _, _ = service.ask("POST", "/bulk-predict", body)
        if status != http.client.OK:
            sys.exit(f"bulk-predict answered {status}")
        return memory_mb(service.process.pid)
    finally:
        service.stop()
