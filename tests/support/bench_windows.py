"""Made-up windows of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.window import Window, summed_up
from bench.load.result import Load

if TYPE_CHECKING:
    from bench.compare.points import Point


def window(
    contestant: str, point: Point, requests_per_s: float, *, number: int = 1, latency_ms: float = 10.0
) -> Window:
    """Return a window of ten seconds in which everything was answered in the same time."""
    count = round(10 * requests_per_s)
    load = Load(
        latencies_s=[latency_ms / 1e3] * count,
        seconds=10.0,
        completed=count,
        texts=count,
        statuses={200: count},
        client_cpu_s=0.5,
        server_cpu_s=9.0,
    )
    return summed_up(load, contestant=contestant, number=number, point=point)
