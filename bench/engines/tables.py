"""What was measured, as Markdown: it reads on a terminal as well as in `docs/performance.md`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.markdown import significant, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.engines.rounds import Speed
    from bench.engines.service import ServiceCosts

BEGIN = "<!-- bench/engines: what it printed, do not edit -->"
END = "<!-- bench/engines: end -->"


def speed_table(speeds: Mapping[str, Speed], memory: Mapping[str, tuple[float, float]]) -> str:
    """Write one row per contender: median milliseconds by shape, memory, difference from the reference."""
    shapes = list(next(iter(speeds.values())).seconds)
    head = ("median ms", *shapes, "RSS, peak, MB", "largest difference of a logit")
    rows = []
    for name, speed in speeds.items():
        resident, peak = memory[name]
        rows.append(
            (
                f"`{name}`",
                *(significant(value) for value in speed.medians_ms().values()),
                f"{resident:.0f}, {peak:.0f}",
                significant(speed.difference, 2),
            )
        )
    return table(head, rows)


def service_table(costs: ServiceCosts) -> str:
    """Write starts and memory of the whole service."""
    rows = [
        ("start until ready, s", *_spread(costs.start_s)),
        ("start until ready, compiled model cached, s", *_spread(costs.start_cached_s)),
        ("resident memory after batches of 32x128, MB", f"{costs.resident_mb:.0f}", ""),
        ("resident memory at its peak, MB", f"{costs.peak_mb:.0f}", ""),
    ]
    return table(("`mlapi serve`, openvino-int8", "median", "range"), rows)


def _spread(values: Sequence[float]) -> tuple[str, str]:
    return significant(statistics.median(values)), f"{significant(min(values))} to {significant(max(values))}"
