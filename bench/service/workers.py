"""All repeats: CPU per request of two workers, supervisor included, against one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.service import verdicts
from bench.service.bench import Result, column, flat, interleaved
from bench.service.cached import TOKENS, cpu_table
from bench.service.servers import mlapi
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from bench.service.bench import Bench
    from bench.service.servers import Server

CLIENTS = 32
"""Enough for either worker to get its share of the connections."""


def measure(bench: Bench) -> Result:
    """Send the same texts to both, in turns."""
    traffic = Traffic(bench)
    repeats = traffic.repeats(TOKENS)
    with mlapi(bench.directory, workers=1) as one, mlapi(bench.directory, workers=2) as two:

        def turn(server: Server) -> dict[str, float]:
            return flat(traffic.closed(server, repeats, clients=CLIENTS), server)

        for server in (one, two):
            traffic.fill(server, repeats)
        measured = interleaved({"one": lambda: turn(one), "two": lambda: turn(two)}, rounds=bench.rounds)
    cpu = {name: column(turns, "server_cpu_ms") for name, turns in measured.items()}
    verdict = verdicts.workers(two=cpu["two"], one=cpu["one"])
    names = {"one": "1 worker", "two": "2 workers"}
    return Result("two workers", [verdict], [cpu_table(measured, names, clients=CLIENTS)], dict(measured))
