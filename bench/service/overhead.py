"""CPU that the service adds around tokeniser and engine: with an engine that costs nothing, minus tokenising.

The HTTP server is counted in: uvicorn, httptools and the kernel's share of each connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.markdown import table
from bench.service import verdicts
from bench.service.bench import Result, flat, interleaved, spread
from bench.service.engine import make_tokenizer
from bench.service.process import Helper
from bench.service.servers import module
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from bench.service.bench import Bench

CLIENTS = (1, 32)
TOKENS = 20
TOKENISED = 5_000


def measure(bench: Bench) -> Result:
    """Let the service at each number of clients, and the tokeniser in a process of its own, take turns."""
    traffic = Traffic(bench)
    arguments = ("--model", str(bench.directory.absolute()))
    with (
        module("bench.service.null_engine", *arguments, ready="/project/health") as server,
        Helper(make_tokenizer, bench.directory) as tokenizer,
    ):

        def served(clients: int) -> float:
            return flat(traffic.distinct_load(server, tokens=TOKENS, clients=clients))["server_cpu_ms"]

        def tokenised() -> float:
            return 1000 * tokenizer.ask(traffic.texts(TOKENS, TOKENISED)) / TOKENISED

        measured = interleaved(
            {
                "tokeniser": tokenised,
                "1": lambda: served(CLIENTS[0]),
                "32": lambda: served(CLIENTS[1]),
            },
            rounds=bench.rounds,
        )
    alone = measured["tokeniser"]
    found = [
        verdicts.overhead(service_ms=measured[str(clients)], tokenizer_ms=alone, clients=clients)
        for clients in CLIENTS
    ]
    rows = [(f"service without an engine, clients: {clients}", measured[str(clients)]) for clients in CLIENTS]
    rows.append(("tokeniser in a loop", alone))
    written = table(
        (f"texts of {TOKENS} tokens", "CPU per text, ms"), [(what, spread(values)) for what, values in rows]
    )
    return Result("added around tokeniser and engine", found, [written], {"cpu_ms": measured})
