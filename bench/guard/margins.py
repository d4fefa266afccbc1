"""What the guard calls a regression: ratios within one run, with margins that a busy machine does not use up.

`make bench` and `make bench-service` tell how fast the service is; this tells whether it became much slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.service.verdicts import ratio
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.guard.measure import Turns

THROUGHPUT = 2.3
"""Least requests per second, in those of the plain pipeline. On two cores that had other work as well it was
3.7 to 4.5: a service that takes twice as long is below."""

CPU = 0.2
"""Most CPU per request, in that of the plain pipeline. There it was 0.11 to 0.14, and 0.20 when each text had
an engine call to itself. CPU time feels other work on the machine less than throughput does."""

CACHED = 1.7
"""Most CPU of an answer from the cache, in that of the constant route. It was 1.0 to 1.2; when nothing is
kept it is ten times as much. What it should be is judged by `bench.service`, to a tenth."""


def judge(turns: Turns) -> list[Verdict]:
    """Compare the medians of a run with the margins."""
    per_s, cpu = turns.per_s, turns.cpu_ms
    return [
        Verdict(
            "distinct texts, throughput against the plain pipeline",
            ratio(per_s["service"], per_s["plain"]),
            "≥",
            THROUGHPUT,
            "times",
        ),
        Verdict(
            "distinct texts, CPU per request against the plain pipeline",
            ratio(cpu["service"], cpu["plain"]),
            "≤",
            CPU,
            "times",
        ),
        Verdict(
            "all repeats, CPU per request against a constant route",
            ratio(cpu["cached"], cpu["constant"]),
            "≤",
            CACHED,
            "times",
        ),
    ]
