"""What is measured: workloads, each at its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

DISTINCT, OPEN, LENGTHS, REAL = "distinct", "open", "lengths", "real"
REPEATS_96, REPEATS, BULK = "repeats96", "repeats", "bulk"

WORKLOADS = {
    DISTINCT: "distinct single texts of about 20 tokens, closed loop",
    OPEN: "the same, open loop: due at a fixed rate, at random times",
    LENGTHS: "distinct single texts of so many tokens, one client",
    REAL: "messages, one in a request, 32 clients",
    REPEATS_96: "96 % of the texts drawn from a fixed set of 100, 32 clients",
    REPEATS: "all texts drawn from that set, 32 clients",
    BULK: "1,000 messages at once, or one by one from 32 clients where a server takes one at a time",
}
CLIENTS = (1, 8, 32, 64)
MANY = 32
RATES = (5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 160.0)
TOKENS = (8, 16, 32, 64, 128, 256, 512)
ABOUT_20 = (15, 25)
"""Fewest and most tokens of a text of about 20, special tokens included."""

QUICK_CLIENTS = (1, 32)
QUICK_RATES = (10.0, 40.0, 120.0)
QUICK_TOKENS = (16, 128, 512)


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One measurement: a workload, with what varies in it.

    Attributes:
        workload: From `WORKLOADS`.
        clients: Of a closed loop; 0 in an open one, and where it depends on the server.
        rate: Requests per second of an open loop.
        tokens: Of a text, where they are all alike.
    """

    workload: str
    clients: int = 0
    rate: float = 0.0
    tokens: int = 0

    def __str__(self) -> str:
        parts = [self.workload]
        parts += [f"{self.tokens} tokens"] * bool(self.tokens)
        parts += [f"{self.rate:g} /s"] * bool(self.rate)
        if self.workload != LENGTHS:
            parts += [plural(self.clients)] * bool(self.clients)
        return ", ".join(parts)


def plural(clients: int) -> str:
    """Write a number of clients."""
    return "1 client" if clients == 1 else f"{clients} clients"


def points(workloads: Collection[str], *, quick: bool) -> list[Point]:
    """Return the points of these workloads in the order in which they are measured.

    Args:
        workloads: Names from `WORKLOADS`.
        quick: Whether a few points of each will do.
    """
    clients, rates, tokens = (QUICK_CLIENTS, QUICK_RATES, QUICK_TOKENS) if quick else (CLIENTS, RATES, TOKENS)
    every = [Point(DISTINCT, clients=count) for count in clients]
    every += [Point(OPEN, rate=rate) for rate in rates]  # ascending: the first that is too much is the last
    every += [Point(LENGTHS, clients=1, tokens=count) for count in tokens]
    every += [Point(workload, clients=MANY) for workload in (REAL, REPEATS_96, REPEATS)]
    every.append(Point(BULK))
    return [point for point in every if point.workload in workloads]
