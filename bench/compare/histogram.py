"""Latencies as counts by size, small enough to keep for every window, and to add up over rounds."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BINS_PER_DECADE = 50
"""A bin's upper edge is 4.7 % above its lower one."""


def counted(seconds: Iterable[float]) -> dict[int, int]:
    """Return how many latencies each bin holds; bin n ends at `edge_ms(n)`, that edge included."""
    bins = Counter(
        math.ceil(round(BINS_PER_DECADE * math.log10(max(value, 1e-6) * 1e3), 9)) for value in seconds
    )
    return dict(sorted(bins.items()))


def edge_ms(number: int) -> float:
    """Return the upper edge of a bin in milliseconds."""
    return float(10 ** (number / BINS_PER_DECADE))


def added(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the counts of all."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return dict(sorted(total.items()))


def cumulative(histogram: Mapping[int, int]) -> list[tuple[float, float]]:
    """Return milliseconds and the share of all that took at most so long, ascending."""
    total, below = sum(histogram.values()), 0
    steps = []
    for number, count in sorted(histogram.items()):
        below += count
        steps.append((edge_ms(number), below / total))
    return steps
