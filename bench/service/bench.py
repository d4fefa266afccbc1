"""What every measurement is given and gives back, and how their turns interleave."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bench.load.usage import memory_mb
from bench.markdown import significant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.load.result import Load
    from bench.model import Size
    from bench.service.servers import Server
    from bench.verdict import Verdict

Turn = TypeVar("Turn")


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measurement may use.

    Attributes:
        directory: The model directory.
        size: Of its model.
        threads: Threads of one inference call.
        rounds: Turns of each contender.
        seconds: How long one turn of load lasts.
        seed_seconds: How long the seed traffic lasts.
        texts: File with real texts, None for the generator.
    """

    directory: Path
    size: Size
    threads: int
    rounds: int
    seconds: float
    seed_seconds: float
    texts: Path | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a measurement found.

    Attributes:
        title: For people.
        verdicts: Against targets; none where there is no target.
        tables: Markdown.
        numbers: Everything, ready for JSON.
    """

    title: str
    verdicts: Sequence[Verdict]
    tables: Sequence[str]
    numbers: dict[str, Any] = field(default_factory=dict)


def interleaved(turns: Mapping[str, Callable[[], Turn]], *, rounds: int) -> dict[str, list[Turn]]:
    """Give each contender one turn a round, in the opposite order every second round.

    What slows the machine slows all alike; a drift across a round cancels out over two.
    """
    results: dict[str, list[Turn]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in list(turns)[:: -1 if number % 2 else 1]:
            say(f"  round {number + 1} of {rounds}: {name}")
            results[name].append(turns[name]())
    return results


def server_ms(load: Load) -> float:
    """Return the server's CPU per answered request, in ms; NaN where there is none, or it is not known.

    By the clients' cycles, as in `Load.requests_per_s`: those that end in a window are bunches, and one more
    or less counts much in a short one.
    """
    if load.server_cpu_s is None or not load.requests_per_s:
        return math.nan
    return 1000 * load.server_cpu_s / load.seconds / load.requests_per_s


def flat(load: Load, server: Server | None = None) -> dict[str, float]:
    """Return the numbers of one window, ready for JSON; with the server's memory if it is given."""
    hits = load.hits + load.misses + load.coalesced
    numbers = {
        "seconds": load.seconds,
        "requests_per_s": load.requests_per_s,
        "texts_per_s": load.texts_per_s,
        "median_ms": 1000 * load.percentile(50),
        "p95_ms": 1000 * load.percentile(95),
        "p99_ms": 1000 * load.percentile(99),
        "server_cpu_ms": server_ms(load),
        "client_cpu_share": load.client_cpu_s / load.seconds,
        "hit_share": load.hits / hits if hits else 0.0,
        "failed": load.failed,
        "dropped": load.dropped,
    }
    return numbers | {"memory_mb": memory_mb(server.pid)} if server else numbers


def column(turns: Sequence[Mapping[str, float]], name: str) -> list[float]:
    """Return one number of every turn."""
    return [turn[name] for turn in turns]


def spread(values: Sequence[float]) -> str:
    """Write a median and, in brackets, the range."""
    middle = significant(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({significant(min(values))} to {significant(max(values))})"


def say(line: str) -> None:
    """Tell how far the measurement is."""
    print(line, file=sys.stderr, flush=True)
