"""Judgements of `bench.service` on made-up numbers."""

from __future__ import annotations

import pytest

from bench.service import verdicts
from bench.verdict import Verdict


@pytest.mark.parametrize(
    ("verdict", "value", "reached"),
    [
        (verdicts.bulk(service=[85, 10, 900], engine=[100, 1, 1000]), 0.85, True),
        (verdicts.bulk(service=[84, 84, 84], engine=[100, 100, 100]), 0.84, False),
        (verdicts.cached(service=[0.7, 0.2, 0.9], constant=[0.5, 0.1, 0.6]), 1.4, True),
        (verdicts.cached(service=[0.3], constant=[0.2]), 1.5, False),
        (verdicts.redis(on=[95.0], off=[100.0]), 0.95, True),
        (verdicts.redis(on=[94.0], off=[100.0]), 0.94, False),
        (verdicts.workers(two=[1.2], one=[1.0]), 1.2, True),
        (verdicts.workers(two=[1.3], one=[1.0]), 1.3, False),
        (verdicts.overhead(service_ms=[1.6, 9, 0], tokenizer_ms=[0.1, 0, 5], clients=1), 1.5, True),
        (verdicts.overhead(service_ms=[1.7], tokenizer_ms=[0.1], clients=32), 1.6, False),
    ],
)
def test_medians_are_held_against_the_targets(verdict: Verdict, value: float, reached: bool) -> None:
    """If this fails, a ratio is upside down, is not one of medians, or has another target than was set."""
    assert verdict.value == pytest.approx(value)
    assert verdict.reached is reached


def test_an_open_loop_must_be_quick_and_whole() -> None:
    """If this fails, lost requests or a long tail at 70 % of the sustainable rate pass for a success."""
    assert [one.reached for one in verdicts.open_loop(p99_s=[0.06], one_client_s=[0.01], failed=0)] == [
        True,
        True,
    ]
    assert [one.reached for one in verdicts.open_loop(p99_s=[0.061], one_client_s=[0.01], failed=1)] == [
        False,
        False,
    ]


def test_seed_traffic_must_be_quick_and_whole() -> None:
    """If this fails, seed traffic that was slow or lost requests passes for a success."""
    assert [one.reached for one in verdicts.seed(p95_s=1.5, failed=0)] == [True, True]
    assert [one.reached for one in verdicts.seed(p95_s=1.51, failed=2)] == [False, False]


def test_nothing_measured_is_no_success() -> None:
    """If this fails, a measurement without a single answer is reported as reached."""
    nan = float("nan")
    for verdict in (
        *verdicts.seed(p95_s=nan, failed=0)[:1],
        verdicts.cached(service=[nan], constant=[0.2]),
        verdicts.bulk(service=[nan], engine=[1.0]),
    ):
        assert not verdict.reached
