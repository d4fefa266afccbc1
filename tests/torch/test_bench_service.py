"""`bench.service` whole, on a tiny model; and `bench.guard` on a service that became slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.guard.__main__ import guard
from bench.guard.margins import judge
from bench.guard.measure import MODEL, Turns, measure
from bench.service.__main__ import MEASUREMENTS
from bench.service.report import BEGIN, END
from bench.service.servers import module
from tests.support.bench_command import run_whole

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

VERDICTS = {
    "bulk": 1,
    "cached": 1,
    "redis": 1,
    "workers": 1,
    "overhead": 2,
    "open70": 2,
    "seed": 2,
    "ceiling": 0,
}


@pytest.mark.slow
def test_the_whole_of_it_on_a_tiny_model(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """If this fails, `make bench-service` fails, or its JSON, page and verdicts do not agree."""
    only = ",".join(name for name in MEASUREMENTS if name != "growth")  # two dozen starts
    content, printed = run_whole(
        "bench.service",
        ["--rounds", "1", "--threads", "1", "--only", only, "--seconds", "0.3", "--seed-seconds", "1"],
        root=pytestconfig.rootpath,
        folder=tmp_path,
        markers=(BEGIN, END),
    )
    measurements = content["measurements"]
    assert {name: len(each["verdicts"]) for name, each in measurements.items()} == VERDICTS
    for each in measurements.values():
        for verdict in each["verdicts"]:
            assert f"| {verdict['what']} |" in printed

    (cached,) = measurements["cached"]["verdicts"]
    turns = measurements["cached"]["numbers"]
    assert cached["value"] == turns["service"][0]["server_cpu_ms"] / turns["constant"][0]["server_cpu_ms"]
    assert turns["service"][0]["hit_share"] == 1
    redis = measurements["redis"]["numbers"]
    assert redis["on"][0]["hit_share"] == redis["off"][0]["hit_share"] == 0
    assert redis["on"][0]["redis_cpu_ms"] > 0


def test_a_service_that_became_slow_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, the guard cannot fail: an engine that sleeps passes, or a cache that keeps nothing."""
    measured: list[Turns] = []
    runs: list[Turns] = []

    def run() -> Turns:
        if not runs:  # the second run would be as slow, and as long
            slow = module("tests.support.slow_service", "--model", str(MODEL), ready="/project/health")
            measured.append(measure(slow, rounds=1, seconds=1.0))
        runs.append(measured[0])
        return runs[-1]

    assert guard(run) == 1
    assert len(runs) == 2
    for turns in runs:
        throughput, _, cached = judge(turns)
        assert not throughput.reached
        assert not cached.reached
    assert "FAILED twice" in capsys.readouterr().out
