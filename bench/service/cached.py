"""All repeats: CPU of an answer from the cache against that of a stock route that returns a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.markdown import table
from bench.service import verdicts
from bench.service.bench import Result, column, flat, interleaved, spread
from bench.service.servers import mlapi, module
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.service.bench import Bench
    from bench.service.servers import Server

CLIENTS = 8
TOKENS = 20


def constant_route() -> Server:
    """Return the route, not started."""
    return module("bench.service.constant_route", ready="/project/health")


def measure(bench: Bench) -> Result:
    """Send the same texts to both, in turns."""
    traffic = Traffic(bench)
    repeats = traffic.repeats(TOKENS)
    with mlapi(bench.directory, threads=bench.threads) as service, constant_route() as constant:

        def turn(server: Server) -> dict[str, float]:
            return flat(traffic.closed(server, repeats, clients=CLIENTS))

        traffic.fill(service, repeats)
        turn(constant)
        measured = interleaved(
            {"service": lambda: turn(service), "constant": lambda: turn(constant)}, rounds=bench.rounds
        )
    cpu = {name: column(turns, "server_cpu_ms") for name, turns in measured.items()}
    verdict = verdicts.cached(service=cpu["service"], constant=cpu["constant"])
    names = {"service": "`mlapi serve`", "constant": "constant route"}
    return Result(
        "all repeats, single text", [verdict], [cpu_table(measured, names, clients=CLIENTS)], dict(measured)
    )


def cpu_table(
    measured: Mapping[str, Sequence[Mapping[str, float]]], names: Mapping[str, str], *, clients: int
) -> str:
    """Write CPU per request, throughput, and what else tells whether the comparison was fair."""
    head = (f"{clients} clients", "server CPU per request, ms", "requests/s", "hits", "client, CPUs")
    return table(
        head,
        (
            (
                names[name],
                spread(column(turns, "server_cpu_ms")),
                spread(column(turns, "requests_per_s")),
                f"{100 * min(column(turns, 'hit_share')):.1f} %",
                spread(column(turns, "client_cpu_share")),
            )
            for name, turns in measured.items()
        ),
    )
