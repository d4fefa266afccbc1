"""Distinct texts with the cache on, which never has the answer, against the cache off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.load.usage import cpu_s
from bench.markdown import table
from bench.service import verdicts
from bench.service.bench import Result, column, flat, interleaved, spread
from bench.service.redis_server import Redis
from bench.service.servers import mlapi
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from bench.service.bench import Bench
    from bench.service.servers import Server

CLIENTS = 32
TOKENS = 20


def measure(bench: Bench) -> Result:
    """Send texts that nobody sent before to both, in turns. Redis runs on the same cores and starts empty."""
    traffic = Traffic(bench)
    with (
        Redis() as redis,
        mlapi(bench.directory, threads=bench.threads, redis_url=redis.url) as on,
        mlapi(bench.directory, threads=bench.threads, cache_entries=0) as off,
    ):

        def turn(server: Server) -> dict[str, float]:
            before = cpu_s(redis.pid)
            load = traffic.distinct_load(server, tokens=TOKENS, clients=CLIENTS)
            # All of the turn's, its warming up included: an upper bound.
            return flat(load) | {"redis_cpu_ms": 1000 * (cpu_s(redis.pid) - before) / load.completed}

        measured = interleaved({"on": lambda: turn(on), "off": lambda: turn(off)}, rounds=bench.rounds)
    rates = {name: column(turns, "requests_per_s") for name, turns in measured.items()}
    verdict = verdicts.redis(on=rates["on"], off=rates["off"])
    names = {"on": "in the process and in Redis, always missed", "off": "none"}
    head = (f"cache; {CLIENTS} clients", "requests/s", "server CPU per request, ms", "Redis CPU, ms", "hits")
    rows = (
        (
            names[name],
            spread(rates[name]),
            spread(column(turns, "server_cpu_ms")),
            spread(column(turns, "redis_cpu_ms")),
            f"{100 * max(column(turns, 'hit_share')):.1f} %",
        )
        for name, turns in measured.items()
    )
    return Result("cache on and off", [verdict], [table(head, rows)], dict(measured))
