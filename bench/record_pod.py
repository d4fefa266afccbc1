"""Record what one process takes while idle, under long texts, under single texts, and idle again.

    python bench/record_pod.py MODEL --out tests/deploy/data/one_pod.json

Starts `mlapi serve` on one CPU of its own, sends requests from the others, and reads the process's CPU time
and resident memory from /proc. The tests of the autoscaler replay the figures, so record them with the model
that the pods are sized for. Linux alone.
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import itertools
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # a script finds its own folder alone

from bench.host import memory_mb  # noqa: E402 - after the path is set
from scripts.measure import WORDS, Service  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAMPLE_S = 5.0
CLIENTS = 8
LONG_TEXTS, LONG_WORDS = 32, 600
"""The texts of one request under long texts, and the words of each: more than 512 tokens."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One interval.

    Attributes:
        phase: `idle`, `long`, `load` or `after`.
        cpu_cores: CPU seconds of the process in a second.
        memory_bytes: Its resident memory at the end.
        requests_per_s: That were answered with 200.
    """

    phase: str
    cpu_cores: float
    memory_bytes: int
    requests_per_s: float


class Load:
    """Clients that send requests without a pause, each over a connection of its own."""

    def __init__(self, port: int, prefix: str, bodies: Callable[[int], object], clients: int) -> None:
        self.answered = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(port, prefix, bodies)) for _ in range(clients)
        ]
        self._numbers = itertools.count()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, port: int, prefix: str, bodies: Callable[[int], object]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json"}
        while not self._over.is_set():
            with self._lock:
                number = next(self._numbers)
            connection.request("POST", f"{prefix}/predict", json.dumps(bodies(number)), headers)
            response = connection.getresponse()
            response.read()
            with self._lock:
                self.answered += response.status == http.client.OK
        connection.close()


def single_text(number: int) -> object:
    """Return the body of a request with one text of 18 words that no other number gives."""
    return {"text": " ".join([*(WORDS[(number * 7 + n * n) % len(WORDS)] for n in range(17)), str(number)])}


def long_texts(number: int) -> object:
    """Return the body of a request with texts that are longer than the model takes."""
    return {"text": [f"{number} {n} " + "word " * LONG_WORDS for n in range(LONG_TEXTS)]}


def record(
    arguments: list[str], seconds: Mapping[str, float], *, interval_s: float = SAMPLE_S
) -> list[Sample]:
    """Run phases one after the other, on a process that is started here and ended afterwards.

    Args:
        arguments: More of `mlapi serve`.
        seconds: How long each phase lasts, in this order.
        interval_s: Seconds of a sample.
    """
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[:1])  # what is started now stays there
    service = Service(arguments)
    os.sched_setaffinity(0, cpus[1:] or cpus)
    bodies = {"long": (long_texts, 1), "load": (single_text, CLIENTS)}
    samples: list[Sample] = []
    try:
        service.wait_until_ready()
        for phase, duration in seconds.items():
            load = None
            if phase in bodies:
                body, clients = bodies[phase]
                load = Load(service.connection.port, service.prefix, body, clients)
            count = round(duration / interval_s)
            samples.extend(_sample(service.process.pid, phase, load, interval_s) for _ in range(count))
            if load is not None:
                load.stop()
        service.connection.close()
    finally:
        service.stop()
        os.sched_setaffinity(0, cpus)
    return samples


def _sample(process: int, phase: str, load: Load | None, interval_s: float) -> Sample:
    started, cpu, answered = time.monotonic(), _cpu_s(process), load.answered if load else 0
    time.sleep(interval_s)
    elapsed = time.monotonic() - started
    requests = (load.answered - answered) / elapsed if load else 0.0
    cores = (_cpu_s(process) - cpu) / elapsed
    return Sample(phase, round(cores, 4), round(memory_mb(process)[0] * 1e6), round(requests, 1))


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return next(
        (line.split(":")[1].strip() for line in cpuinfo.splitlines() if "model name" in line), "unnamed"
    )


def main() -> None:
    """Record, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("--model-is", default="", help="what kind of model that is, for the file")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    samples = record(
        ["--model", str(options.model.resolve())], {"idle": 30.0, "long": 30.0, "load": 60.0, "after": 60.0}
    )
    document = {
        "made by": "bench/record_pod.py",
        "recorded": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "model": options.model_is,
        "processor": _processor(),
        "process": "mlapi serve on one CPU, answers cached in the process, no Redis",
        "idle": "from readiness on",
        "long": f"one client, {LONG_TEXTS} new texts of {LONG_WORDS} words in each request",
        "load": f"{CLIENTS} clients, one new text of 18 words in each request, no pause",
        "after": "no request any more",
        "seconds of a sample": SAMPLE_S,
        "samples": [asdict(sample) for sample in samples],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
