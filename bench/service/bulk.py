"""`bulk-predict` of 1,000 real sentences against the bare engine on the same sentences, sorted by length."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING

from bench.markdown import table
from bench.service import verdicts
from bench.service.bench import Result, interleaved, say, spread
from bench.service.engine import make_engine, sorted_batches, token_ids
from bench.service.process import Helper
from bench.service.servers import mlapi
from bench.service.traffic import Traffic, bulk_request
from mlapi.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.service.bench import Bench
    from bench.service.servers import Server

TEXTS = 1_000
BULK_TIMEOUT_S = 600


def measure(bench: Bench) -> Result:
    """Let the service and the engine take turns; the one that does not work waits."""
    traffic = Traffic(bench)
    limits = {name: Settings.model_fields[f"max_batch_{name}"].default for name in ("tokens", "texts")}
    lengths: list[int] = []

    def batches() -> list[list[list[int]]]:
        rows = token_ids(bench.directory, traffic.sentences(TEXTS))
        lengths.extend(len(row) for row in rows)
        return sorted_batches(rows, max_tokens=limits["tokens"], max_texts=limits["texts"])

    with (
        mlapi(bench.directory, threads=bench.threads) as server,
        Helper(make_engine, bench.directory, bench.threads) as engine,
    ):
        turns: dict[str, Callable[[], float]] = {
            "service": lambda: _repeated(lambda: ask(server, traffic.sentences(TEXTS)), bench.seconds),
            "engine": lambda: _repeated(lambda: engine.ask(batches()), bench.seconds),
        }
        say("  warming up")
        for turn in turns.values():
            turn()
        measured = interleaved(turns, rounds=bench.rounds)
    rates = {name: [TEXTS / seconds for seconds in times] for name, times in measured.items()}
    verdict = verdicts.bulk(service=rates["service"], engine=rates["engine"])
    rows = [
        ("`bulk-predict`", spread(rates["service"])),
        ("bare engine, sorted by length", spread(rates["engine"])),
    ]
    mean = sum(lengths) / len(lengths)
    source = bench.texts.name if bench.texts else "the generator"
    head = f"{TEXTS:,} sentences of {mean:.1f} tokens on average (from {source}), distinct each time"
    numbers = {"texts_per_s": rates, "mean_tokens": mean, "max_batch": limits}
    return Result("bulk-predict", [verdict], [table((head, "texts/s"), rows)], numbers)


def ask(server: Server, texts: Sequence[str]) -> float:
    """Send one bulk request over a connection of its own and return the seconds until it is answered.

    Raises:
        RuntimeError: It was not answered with 200, or a text came from the cache.
    """
    request = bulk_request(texts)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=BULK_TIMEOUT_S)
    try:
        connection.connect()
        started = time.perf_counter()
        connection.request("POST", request.path, request.body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        seconds = time.perf_counter() - started
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise RuntimeError(f"bulk-predict answered {response.status}")
    cache = response.getheader("X-Cache", "")
    if f"misses={len(texts)}," not in cache:
        raise RuntimeError(f"not all of {len(texts)} texts were computed: {cache}")
    return seconds


def _repeated(once: Callable[[], float], seconds: float) -> float:
    """Do it as often as fits into the time, at least once; return the mean of what it returns."""
    taken = [once()]
    while sum(taken) + taken[-1] < seconds:
        taken.append(once())
    return sum(taken) / len(taken)
