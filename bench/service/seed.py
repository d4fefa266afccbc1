"""Seed traffic: 6 requests a second of distinct long texts, for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.markdown import significant, table
from bench.service import verdicts
from bench.service.bench import Result, flat
from bench.service.servers import mlapi
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from bench.service.bench import Bench

RATE = 6.0
TOKENS = (300, 512)


def measure(bench: Bench) -> Result:
    """Send them once, at equal distances: a run this long needs no second."""
    traffic = Traffic(bench)
    with mlapi(bench.directory, threads=bench.threads) as server:
        load = traffic.open_load(server, tokens=TOKENS, rate=RATE, seconds=bench.seed_seconds)
        numbers = flat(load, server)
    found = verdicts.seed(p95_s=load.percentile(95), failed=load.failed)
    head = ("open loop", "median, ms", "p95, ms", "p99, ms", "requests", "dropped or failed", "memory, MB")
    row = (
        f"{RATE:g} requests/s of {TOKENS[0]} to {TOKENS[1]} tokens for {bench.seed_seconds:g} s",
        *(significant(numbers[key]) for key in ("median_ms", "p95_ms", "p99_ms")),
        str(round(RATE * bench.seed_seconds)),
        f"{load.failed}",
        f"{numbers['memory_mb']:.0f}",
    )
    return Result("seed traffic", found, [table(head, [row])], numbers)
