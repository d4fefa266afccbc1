"""The tail at 70 % of the rate that the service sustains, against the median of a single client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.markdown import table
from bench.service import verdicts
from bench.service.bench import Result, column, flat, interleaved, spread
from bench.service.servers import mlapi
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from bench.load.open_loop import Arrivals
    from bench.service.bench import Bench

TOKENS = 20
BUSY_CLIENTS = (32, 64)
SHARE = 0.7
OPEN_TURNS = 3
"""An open loop lasts as long as so many turns of the others: 30 s by default."""


def measure(bench: Bench) -> Result:
    """In each round: one client, the highest throughput of a closed loop, 70 % of that as an open loop.

    The verdict is on arrivals at equal distances, as k6 makes them; those of many independent users, which
    come in clusters (Poisson), are measured as well.
    """
    traffic = Traffic(bench)
    rounds: list[dict[str, dict[str, float]]] = []
    with mlapi(bench.directory, threads=bench.threads) as server:

        def closed(clients: int) -> dict[str, float]:
            return flat(traffic.distinct_load(server, tokens=TOKENS, clients=clients))

        def opened(rate: float, arrivals: Arrivals) -> dict[str, float]:
            seconds = OPEN_TURNS * bench.seconds
            load = traffic.open_load(server, tokens=TOKENS, rate=rate, seconds=seconds, arrivals=arrivals)
            late = {"generator_late_p99_ms": 1000 * _p99(load.lateness_s), "offered_per_s": rate}
            return flat(load) | late

        def turn() -> dict[str, dict[str, float]]:
            busy = {f"{clients} clients": closed(clients) for clients in BUSY_CLIENTS}
            rate = SHARE * max(one["requests_per_s"] for one in busy.values())
            return {"1 client": closed(1), **busy, "even": opened(rate, "even")} | {
                "poisson": opened(rate, "poisson")
            }

        rounds = interleaved({"closed and open loops": turn}, rounds=bench.rounds)["closed and open loops"]
    names = list(rounds[0])
    loads = {name: [one[name] for one in rounds] for name in names}
    found = verdicts.open_loop(
        p99_s=[value / 1000 for value in column(loads["even"], "p99_ms")],
        one_client_s=[value / 1000 for value in column(loads["1 client"], "median_ms")],
        failed=round(sum(column(loads["even"], "failed"))),
    )
    titles = {"even": "open loop, 70 %, even arrivals", "poisson": "open loop, 70 %, Poisson arrivals"}
    rows = (
        (
            titles.get(name, f"closed loop, {name}"),
            *(spread(column(turns, key)) for key in ("requests_per_s", "median_ms", "p99_ms")),
            f"{sum(column(turns, 'failed')):.0f}",
        )
        for name, turns in loads.items()
    )
    head = (f"texts of {TOKENS} tokens", "requests/s", "median, ms", "p99, ms", "dropped or failed")
    return Result("70 % of the sustainable rate", found, [table(head, rows)], dict(loads))


def _p99(values: list[float]) -> float:
    from bench.load.result import percentile

    return percentile(values, 99) if values else 0.0
