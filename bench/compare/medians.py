"""Medians over rounds, and ratios between contestants."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from bench.compare.points import Point
    from bench.compare.window import Window

    Metric = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one contestant compares with another.

    Attributes:
        value: Of their medians over all rounds; NaN where one of them has none.
        low: The least that one round gave, of the rounds that both have.
        high: The most.
    """

    value: float
    low: float
    high: float


def by_round(windows: Iterable[Window], contestant: str, point: Point, metric: Metric) -> dict[int, float]:
    """Return a contestant's values at a point by round, rounds without a value left out."""
    values = {
        window.round: metric(window)
        for window in windows
        if window.contestant == contestant and window.point == point
    }
    return {number: value for number, value in values.items() if not math.isnan(value)}


def median(windows: Iterable[Window], contestant: str, point: Point, metric: Metric) -> float:
    """Return the median over the rounds; NaN without any."""
    values = by_round(windows, contestant, point, metric).values()
    return statistics.median(values) if values else math.nan


def ratio(windows: Collection[Window], over: str, under: str, point: Point, metric: Metric) -> Ratio:
    """Return the ratio of two contestants' medians, and its range within the rounds.

    Args:
        windows: All.
        over: The contestant whose values are divided.
        under: The one they are divided by.
        point: Where.
        metric: Of what.
    """
    upper, lower = (by_round(windows, name, point, metric) for name in (over, under))
    rounds = [upper[number] / lower[number] for number in upper if lower.get(number)]
    if not rounds:
        return Ratio(math.nan, math.nan, math.nan)
    value = statistics.median(upper.values()) / statistics.median(lower.values())
    return Ratio(value, min(rounds), max(rounds))


def best(windows: Collection[Window], names: Iterable[str], point: Point, metric: Metric) -> str | None:
    """Return which of these contestants has the highest median; None if none of them has any."""
    medians = {name: median(windows, name, point, metric) for name in names}
    known = {name: value for name, value in medians.items() if not math.isnan(value)}
    return max(known, key=lambda name: known[name]) if known else None


def stood(windows: Collection[Window], contestant: str, point: Point) -> bool:
    """Whether a contestant kept up with the rate of an open loop in every round that it took part in."""
    mine = [
        each for each in windows if each.contestant == contestant and each.point.workload == point.workload
    ]
    there = [each for each in mine if each.point == point]
    return {each.round for each in there} == {each.round for each in mine} and all(
        each.keeps_up for each in there
    )
