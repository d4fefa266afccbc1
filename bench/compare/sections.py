"""Tables of measured numbers, one row for each contestant: medians over the rounds."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from bench.compare.contestants import NAME
from bench.compare.medians import median, ratio, stood
from bench.compare.points import (
    BULK,
    DISTINCT,
    LENGTHS,
    MANY,
    OPEN,
    REAL,
    REPEATS,
    REPEATS_96,
    WORKLOADS,
    Point,
    plural,
)
from bench.compare.verdicts import PLAIN, PUBLISHED, published_speed_up
from bench.markdown import significant, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.compare.medians import Metric, Ratio
    from bench.compare.results import Results

NOTHING = "-"
TOO_MUCH = "too much"
"""In place of a latency, where a server did not keep up with a rate in every round."""

MIXED = (REAL, REPEATS_96, REPEATS, BULK)


def by_clients(results: Results) -> str | None:
    """Write throughput and latency in closed loops, or None if there are none."""
    points = _points(results, DISTINCT)
    head = ["", *(f"{plural(point.clients)}, requests/s" for point in points)]
    head += ["1 client, median ms", f"{MANY} clients, median, p99 ms", f"`{NAME}` is, at {MANY} clients"]
    one, many = Point(DISTINCT, clients=1), Point(DISTINCT, clients=MANY)

    def row(name: str) -> list[str]:
        windows = results.windows
        return [
            *(_number(median(windows, name, point, lambda each: each.requests_per_s)) for point in points),
            _number(median(windows, name, one, _latency(50))),
            _pair(median(windows, name, many, _latency(50)), median(windows, name, many, _latency(99))),
            _times(results, name, many, lambda each: each.requests_per_s),
        ]

    return _table(head, results, row) if points else None


def by_rate(results: Results) -> str | None:
    """Write latency in open loops, or None if there are none."""
    points = _points(results, OPEN)
    head = ["median, p99 ms at", *(f"{point.rate:g} /s" for point in points)]

    def row(name: str) -> list[str]:
        return [
            _pair(*(median(results.windows, name, point, _latency(percent)) for percent in (50, 99)))
            if stood(results.windows, name, point)
            else TOO_MUCH
            for point in points
        ]

    return _table(head, results, row) if points else None


def by_tokens(results: Results) -> str | None:
    """Write throughput by length, and what was published of another server, or None if there is none."""
    points = _points(results, LENGTHS)
    head = ["requests/s at", *(f"{point.tokens} tokens" for point in points)]

    def row(name: str) -> list[str]:
        return [
            _number(median(results.windows, name, point, lambda each: each.requests_per_s))
            for point in points
        ]

    if not points:
        return None
    ratios = [
        _number(ratio(results.windows, NAME, PLAIN, point, lambda each: each.requests_per_s).value)
        for point in points
    ]
    published = [
        _number(published_speed_up(point.tokens)) if point.tokens in PUBLISHED else NOTHING
        for point in points
    ]
    more = [(f"`{NAME}` / `{PLAIN}`", *ratios), ("published: commercial server / plain", *published)]
    return _table(head, results, row, more)


def mixed(results: Results) -> str | None:
    """Write throughput of the other workloads, or None if there are none."""
    points = [point for workload in MIXED for point in _points(results, workload)]
    head = ["texts/s", *(point.workload for point in points)]
    head += [f"`{NAME}` is, {point.workload}" for point in points]

    def row(name: str) -> list[str]:
        values = (
            _number(median(results.windows, name, point, lambda each: each.texts_per_s))
            + (" (one by one)" if point.workload == BULK and _one_by_one(results, name) else "")
            for point in points
        )
        return [*values, *(_times(results, name, point, lambda each: each.texts_per_s) for point in points)]

    if not points:
        return None
    told = "; ".join(f"`{point.workload}`: {WORKLOADS[point.workload]}" for point in points)
    return f"{told}.\n\n{_table(head, results, row)}"


def costs(results: Results) -> str:
    """Write start, memory and CPU time."""
    many = Point(DISTINCT, clients=MANY)
    head = ["", "start until it answers, s", "memory after a round, MB"]
    head += [f"CPU ms per request, {MANY} clients: server", "load generator", "its share of all"]

    def row(name: str) -> list[str]:
        runs = [run for run in results.runs if run.contestant == name]
        server = median(results.windows, name, many, lambda each: each.server_ms)
        client = median(results.windows, name, many, lambda each: each.client_ms)
        return [
            _number(statistics.median(run.ready_s for run in runs) if runs else math.nan),
            _number(statistics.median(run.memory_mb for run in runs) if runs else math.nan),
            _number(server),
            _number(client),
            NOTHING if math.isnan(client + server) else f"{100 * client / (client + server):.1f} %",
        ]

    return _table(head, results, row)


def _one_by_one(results: Results, name: str) -> bool:
    return any(
        window.sent > 1
        for window in results.windows
        if (window.contestant, window.point.workload) == (name, BULK)
    )


def _points(results: Results, workload: str) -> list[Point]:
    return sorted({window.point for window in results.windows if window.point.workload == workload})


def _table(
    head: Sequence[str],
    results: Results,
    row: Callable[[str], Sequence[str]],
    more: Iterable[Sequence[str]] = (),
) -> str:
    return table(head, [*((f"`{name}`", *row(name)) for name in results.names()), *more])


def _latency(percent: int) -> Metric:
    return lambda window: window.latency(percent)


def _times(results: Results, name: str, point: Point, metric: Metric) -> str:
    found = ratio(results.windows, NAME, name, point, metric)
    return NOTHING if name == NAME or math.isnan(found.value) else ratio_text(found)


def ratio_text(value: Ratio) -> str:
    """Write a ratio with its range."""
    if math.isnan(value.value):
        return NOTHING
    return f"{significant(value.value)} times ({significant(value.low)} to {significant(value.high)})"


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else significant(value)


def _pair(first: float, second: float) -> str:
    return NOTHING if math.isnan(first) else f"{_number(first)}, {_number(second)}"
