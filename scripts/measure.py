"""Measure one installation: start, memory, latency of cached and of new texts, bulk throughput.

    make measure ARGS='--rounds 5 -- --model models/lab'

Starts `mlapi serve` on a free port of this machine, once per round, talks to it over one connection, and ends
it. Prints the median over the rounds and their range. Needs the standard library alone, so that the client
costs little of the machine that it shares with the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
REQUESTS = 500
BULK_TEXTS = 5_000
WORDS = (
    "the",
    "a",
    "film",
    "plot",
    "was",
    "is",
    "very",
    "good",
    "dull",
    "slow",
    "warm",
    "scene",
    "cast",
    "end",
)


class Service:
    """One `mlapi serve`, from its start to its end."""

    def __init__(self, arguments: list[str], *, environment: Mapping[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - lives as long as the service
        self._started = time.perf_counter()
        self.process = subprocess.Popen(  # noqa: S603 - this project's own program
            [sys.executable, "-m", "mlapi", "serve", "--port", "0", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "MLAPI_DRAIN_GRACE_S": "0", "MLAPI_LOG_FORMAT": "text", **(environment or {})},
            stderr=self._log,
        )
        self.prefix = ""

    def wait_until_ready(self) -> float:
        """Return the seconds from start to the first healthy answer."""
        while not (found := re.search(rb"listening on http://127\.0\.0\.1:(\d+)(\S+)", self._read_log())):
            self._check_alive()
            time.sleep(0.005)
        self.prefix = found[2].decode()
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=120)
        while self.ask("GET", "/health")[0] != http.client.OK:
            self._check_alive()
            time.sleep(0.005)
        return time.perf_counter() - self._started

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, http.client.HTTPResponse, float]:
        """Send one request; return the status, the response and the seconds that it took."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if data else {}
        started = time.perf_counter()
        self.connection.request(method, self.prefix + path, body=data, headers=headers)
        response = self.connection.getresponse()
        response.read()
        return response.status, response, time.perf_counter() - started

    def resident_mb(self) -> float:
        """Return the resident memory in MB (10^6 bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        kilobytes = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(kilobytes[1]) * 1024 / 1e6 if kilobytes else float("nan")

    def stop(self) -> None:
        """End the process by its own id."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._log.close()

    def _read_log(self) -> bytes:
        self._log.seek(0)
        return self._log.read()

    def _check_alive(self) -> None:
        if self.process.poll() is not None:
            sys.exit(f"mlapi serve ended with status {self.process.returncode}: {self._read_log().decode()}")


def _text(number: int) -> str:
    """Return a text of 18 words that no other number gives."""
    chosen = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(17)]
    return " ".join([*chosen, str(number)])


def measure(arguments: list[str]) -> dict[str, float]:
    """Run one round."""
    service = Service(arguments)
    try:
        result = {"start until ready, s": service.wait_until_ready()}
        time.sleep(1)
        result["resident memory, idle, MB"] = service.resident_mb()
        service.ask("POST", "/predict", {"text": _text(0)})
        cached = [service.ask("POST", "/predict", {"text": _text(0)})[2] for _ in range(REQUESTS)]
        result["cached single text, median, ms"] = statistics.median(cached) * 1000
        result["cached single text, 99th percentile, ms"] = statistics.quantiles(cached, n=100)[98] * 1000
        new = [service.ask("POST", "/predict", {"text": _text(n)})[2] for n in range(1, REQUESTS)]
        result["new single text of 18 words, median, ms"] = statistics.median(new) * 1000
        texts = [_text(REQUESTS + number) for number in range(BULK_TEXTS)]
        status, _, seconds = service.ask("POST", "/bulk-predict", {"text": texts})
        if status != http.client.OK:
            sys.exit(f"bulk-predict answered {status}")
        result[f"bulk-predict of {BULK_TEXTS:,} new texts, texts/s"] = BULK_TEXTS / seconds
        result["resident memory afterwards, MB"] = service.resident_mb()
        return result
    finally:
        service.stop()


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("arguments", nargs="*", help="more arguments of mlapi serve")
    options = parser.parse_args()
    rounds = [measure(options.arguments) for _ in range(options.rounds)]
    print(f"| what | median of {len(rounds)} rounds | range |\n|---|---|---|")
    for name in rounds[0]:
        values = sorted(result[name] for result in rounds)
        print(f"| {name} | {statistics.median(values):.3g} | {values[0]:.3g} to {values[-1]:.3g} |")


if __name__ == "__main__":
    main()
