"""What was measured, as Markdown: it reads on a terminal as well as in `docs/performance.md`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.engines.verdicts import significant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.engines.rounds import Speed
    from bench.engines.service import ServiceCosts
    from bench.engines.verdicts import Verdict

BEGIN = "<!-- bench/engines: what it printed, do not edit -->"
END = "<!-- bench/engines: end -->"


class MarkerError(Exception):
    """The document has no place for the tables."""


def replaced(document: str, tables: str, *, begin: str = BEGIN, end: str = END) -> str:
    """Return the document with these tables between the markers.

    Raises:
        MarkerError: The markers do not stand there once each, in their order.
    """
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(end)
    if document.count(begin) != 1 or document.count(end) != 1 or end in before:
        raise MarkerError(f"there must be exactly one {begin!r} and after it one {end!r}")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def host_table(host: Mapping[str, str]) -> str:
    """Write what was measured on."""
    return table(("on", ""), host.items())


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


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Write targets against values."""
    rows = (
        (
            verdict.what,
            f"{significant(verdict.value)} {verdict.unit}",
            f"{'≥' if verdict.unit == 'times' else '≤'} {verdict.target:g} {verdict.unit}",
            "reached" if verdict.reached else "**not reached**",
        )
        for verdict in verdicts
    )
    return table(("target", "measured", "aimed at", ""), rows)


def _spread(values: Sequence[float]) -> tuple[str, str]:
    return significant(statistics.median(values)), f"{significant(min(values))} to {significant(max(values))}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
