"""From the medians of a run to what was aimed at: reached or not. Nothing here measures."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

BULK_SHARE = 0.85
"""Least share of the bare engine's texts per second that `bulk-predict` should reach."""

CACHED_RATIO = 1.4
"""Most CPU seconds of an answer from the cache, in those of a stock route that returns a constant."""

REDIS_SHARE = 0.95
"""Least share of the throughput without a cache that is left with one that never has the answer."""

WORKERS_RATIO = 1.2
"""Most CPU seconds per request with two workers, in those with one."""

OVERHEAD_MS = 1.5
"""Most CPU per text, in ms, around tokeniser and engine."""

OPEN_TAIL = 6.0
"""Most that the 99th percentile at 70 % of the sustainable rate should be, in medians of one client."""

SEED_P95_S = 1.5
"""Most that the 95th percentile of long texts at a fixed rate should be, in seconds."""


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Return the ratio of two medians."""
    return statistics.median(of) / statistics.median(to)


def bulk(*, service: Sequence[float], engine: Sequence[float]) -> Verdict:
    """Judge texts per second of `bulk-predict` against those of the bare engine, by round."""
    share = ratio(service, engine)
    return Verdict("bulk-predict, share of the bare engine's texts/s", share, "≥", BULK_SHARE, "times")


def cached(*, service: Sequence[float], constant: Sequence[float]) -> Verdict:
    """Judge CPU per request of answers from the cache against the constant route's, by round."""
    what = "all repeats, CPU per request against a stock route's"
    return Verdict(what, ratio(service, constant), "≤", CACHED_RATIO, "times")


def redis(*, on: Sequence[float], off: Sequence[float]) -> Verdict:
    """Judge throughput of distinct texts with a cold Redis against that without any cache, by round."""
    what = "distinct texts, throughput with the cache against without"
    return Verdict(what, ratio(on, off), "≥", REDIS_SHARE, "times")


def workers(*, two: Sequence[float], one: Sequence[float]) -> Verdict:
    """Judge CPU per request of two workers against one's, by round."""
    what = "all repeats, CPU per request of two workers against one"
    return Verdict(what, ratio(two, one), "≤", WORKERS_RATIO, "times")


def overhead(*, service_ms: Sequence[float], tokenizer_ms: Sequence[float], clients: int) -> Verdict:
    """Judge the CPU per text that a service without a real engine costs beyond its tokeniser, by round."""
    added = statistics.median(service_ms) - statistics.median(tokenizer_ms)
    what = f"CPU per text around tokeniser and engine, HTTP included, {clients} client{'s' * (clients > 1)}"
    return Verdict(what, added, "≤", OVERHEAD_MS, "ms")


def open_loop(*, p99_s: Sequence[float], one_client_s: Sequence[float], failed: int) -> list[Verdict]:
    """Judge the tail at 70 % of the sustainable rate, by round.

    Args:
        p99_s: 99th percentiles of the open loop.
        one_client_s: Median latencies of a single client.
        failed: Requests of all rounds that were dropped, or not answered with 200.
    """
    what = "70 % of the sustainable rate, p99 in one-client medians"
    return [
        Verdict(what, ratio(p99_s, one_client_s), "≤", OPEN_TAIL, "times"),
        Verdict("70 % of the sustainable rate, dropped or failed", failed, "=", 0, "requests"),
    ]


def seed(*, p95_s: float, failed: int) -> list[Verdict]:
    """Judge long texts at a fixed rate: the tail, and that none was lost."""
    return [
        Verdict("seed traffic, p95", p95_s, "≤", SEED_P95_S, "s"),
        Verdict("seed traffic, dropped or failed", failed, "=", 0, "requests"),
    ]
