"""How throughput and memory grow with the length of texts, the texts of a request, clients, and workers.

Each cell has a fresh service, so that the memory is that of its own traffic. There is no target.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.load.usage import memory_mb
from bench.markdown import table
from bench.service.bench import Result, column, flat, interleaved, spread
from bench.service.bulk import ask
from bench.service.servers import mlapi
from bench.service.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.service.bench import Bench
    from bench.service.servers import Server

TOKENS, MANY = 20, 32
SHARE = 0.5
"""Of a turn's time, because there are so many."""

Cell = dict[str, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured.

    Attributes:
        lengths: Tokens of a text, special ones included.
        bulks: Sentences in a bulk request.
        clients: How many at once.
        workers: Server processes.
    """

    lengths: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    bulks: tuple[int, ...] = (1, 8, 64, 256, 1_000, 4_000)
    clients: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    workers: tuple[int, ...] = (1, 2)


GRID = Grid()


def measure(bench: Bench, grid: Grid = GRID) -> Result:
    """Measure cell after cell, all of them in each round."""
    traffic = Traffic(bench)
    seconds = SHARE * bench.seconds
    closed = partial(traffic.distinct_load, seconds=seconds)

    def length(tokens: int) -> Callable[[Server], Cell]:
        def cell(server: Server) -> Cell:
            one = flat(closed(server, tokens=tokens, clients=1))
            many = flat(closed(server, tokens=tokens, clients=MANY))
            both = {"one_per_s": one["texts_per_s"], "one_median_ms": one["median_ms"]}
            return both | {"many_per_s": many["texts_per_s"]}

        return cell

    def bulk(texts: int) -> Callable[[Server], Cell]:
        def cell(server: Server) -> Cell:
            taken = [ask(server, traffic.sentences(texts))]  # the first prepares kernels
            while len(taken) < 2 or sum(taken) < seconds:  # noqa: PLR2004 - one that counts
                taken.append(ask(server, traffic.sentences(texts)))
            counted = taken[1:]
            return {"texts_per_s": texts * len(counted) / sum(counted)}

        return cell

    def client(clients: int) -> Callable[[Server], Cell]:
        return lambda server: flat(closed(server, tokens=TOKENS, clients=clients))

    def worker(server: Server) -> Cell:
        fresh = flat(closed(server, tokens=TOKENS, clients=MANY))["texts_per_s"]
        fixed = traffic.repeats(TOKENS)
        traffic.fill(server, fixed)
        again = flat(traffic.closed(server, fixed, clients=MANY, seconds=seconds))["texts_per_s"]
        return {"fresh_per_s": fresh, "repeats_per_s": again}

    one = {"threads": bench.threads}
    kinds: dict[str, dict[str, Callable[[], Cell]]] = {
        "tokens": {str(n): partial(_alone, bench, length(n), **one) for n in grid.lengths},
        "texts": {f"{n:,}": partial(_alone, bench, bulk(n), **one) for n in grid.bulks},
        "clients": {str(n): partial(_alone, bench, client(n), **one) for n in grid.clients},
        "workers": {str(n): partial(_alone, bench, worker, workers=n) for n in grid.workers},
    }
    turns = {f"{n} {kind}": turn for kind, cells in kinds.items() for n, turn in cells.items()}
    measured = interleaved(turns, rounds=bench.rounds)
    grouped = {kind: {n: measured[f"{n} {kind}"] for n in cells} for kind, cells in kinds.items()}
    return Result("growth", [], tables(grouped), grouped)


def tables(grouped: Mapping[str, Mapping[str, Sequence[Cell]]]) -> list[str]:
    """Write one table for each of what grows."""
    columns = {
        "tokens": {
            "one_per_s": "1 client, texts/s",
            "one_median_ms": "1 client, median, ms",
            "many_per_s": f"{MANY} clients, texts/s",
        },
        "texts": {"texts_per_s": "texts/s"},
        "clients": {"requests_per_s": "requests/s", "median_ms": "median, ms", "p99_ms": "p99, ms"},
        "workers": {"fresh_per_s": "distinct, texts/s", "repeats_per_s": "all repeats, texts/s"},
    }
    heads = {
        "tokens": "tokens of a text",
        "texts": "sentences in a `bulk-predict`",
        "clients": f"clients, {TOKENS} tokens",
        "workers": f"workers, {MANY} clients, {TOKENS} tokens",
    }
    return [
        table(
            (heads[kind], *columns[kind].values(), "memory, MB"),
            (
                (
                    n,
                    *(spread(column(cells, key)) for key in columns[kind]),
                    spread(column(cells, "memory_mb")),
                )
                for n, cells in rows.items()
            ),
        )
        for kind, rows in grouped.items()
    ]


def _alone(bench: Bench, cell: Callable[[Server], Cell], **settings: object) -> Cell:
    """Measure with a service that has these settings and answers nothing else."""
    with mlapi(bench.directory, **settings) as server:
        return cell(server) | {"memory_mb": memory_mb(server.pid)}
