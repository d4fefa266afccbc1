"""What the comparison keeps: histograms, windows, the file, and the report made of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.compare import tables
from bench.compare.histogram import added, counted, cumulative, edge_ms
from bench.compare.points import BULK, DISTINCT, LENGTHS, OPEN, WORKLOADS, Point, points
from bench.compare.results import Failure, Results, Run
from bench.compare.window import Window, summed_up
from bench.load.result import Load
from tests.support.bench_windows import window

if TYPE_CHECKING:
    from pathlib import Path

MANY = Point(DISTINCT, clients=32)


def _contestant(name: str, engine: str) -> dict[str, object]:
    about = {"title": f"the server {name}", "configuration": ["one line"], "source": "https://x.example/doc"}
    return {"name": name, "engine": engine, "libraries": {"torch": "1.2.3"}, **about}


def _results(*windows: Window) -> Results:
    contestants = [_contestant("mlapi", "openvino int8"), _contestant("plain", "torch fp32")]
    return Results({"processor": "made up"}, {"size": "tiny"}, contestants, list(windows))


def test_a_histogram_tells_shares_within_the_width_of_its_bins() -> None:
    """If this fails, the plotted distribution is not that of the latencies."""
    seconds = [0.001 * number for number in range(1, 1001)]
    steps = cumulative(counted(seconds))
    assert steps[-1][1] == 1
    for ms, share in steps:
        assert share == pytest.approx(min(math.floor(ms + 1e-6), 1000) / 1000, abs=0.001)
    assert counted([0.001]) == {0: 1}
    assert counted([0.010, 0.0100001]) == {50: 1, 51: 1}
    assert edge_ms(50) == pytest.approx(10)
    assert added([{1: 2, 3: 4}, {3: 1}]) == {1: 2, 3: 5}


def test_a_window_tells_what_the_load_told() -> None:
    """If this fails, tables show other numbers than were measured."""
    load = Load(
        latencies_s=[0.001 * number for number in range(1, 101)],
        seconds=4.0,
        completed=90,
        texts=180,
        statuses={200: 100, 503: 3},
        failures={"timed out": 2},
        dropped=5,
        client_cpu_s=0.45,
        server_cpu_s=1.8,
        lateness_s=[0.001] * 10,
        hits=7,
    )
    kept = summed_up(load, contestant="plain", number=2, point=MANY)
    assert (kept.requests_per_s, kept.texts_per_s, kept.sent, kept.failed) == (22.5, 45.0, 110, 10)
    assert [kept.latency(percent) for percent in (50, 95, 99, 100)] == pytest.approx([50, 95, 99, 100])
    assert (kept.server_ms, kept.client_ms) == pytest.approx((20, 5))
    assert kept.lateness_ms == pytest.approx(1)
    assert Window.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_a_window_without_an_answer_has_no_latency() -> None:
    """If this fails, a server that answered nothing has a latency, or the whole report fails on it."""
    load = Load(seconds=3.0, failures={"timed out": 4}, server_cpu_s=None)
    kept = summed_up(load, contestant="plain", number=1, point=MANY)
    assert (kept.requests_per_s, kept.failed, kept.latency_ms) == (0, 4, {})
    assert all(math.isnan(each) for each in (kept.latency(50), kept.server_ms, kept.client_ms))
    assert "4 x timed out" in tables.report(_results(kept))


def test_results_are_the_same_after_saving(tmp_path: Path) -> None:
    """If this fails, a comparison that is gone on with, or reported later, is another one."""
    results = _results(window("mlapi", MANY, 20), window("plain", MANY, 5, number=2))
    results.runs.append(Run("mlapi", 1, 2.5, 300.0))
    results.failures.append(Failure("other", 0, "installation", "no matching distribution"))
    results.save(tmp_path / "r.json", {"verdicts": [{"value": math.nan}]})
    assert Results.load(tmp_path / "r.json") == results
    content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert content["verdicts"] == [{"value": None}]
    assert content["windows"][0]["requests_per_s"] == 20
    assert results.names() == ["mlapi", "plain"]


def test_rounds_that_were_broken_off_are_forgotten() -> None:
    """If this fails, a resumed comparison counts a round twice."""
    results = _results(window("mlapi", MANY, 20), window("plain", MANY, 5))
    results.runs.append(Run("mlapi", 1, 2.5, 300.0))
    results.drop_unfinished()
    assert [each.contestant for each in results.windows] == ["mlapi"]
    assert results.has("mlapi", 1)
    assert not results.has("mlapi", 2)


def test_points_are_in_the_order_that_open_loops_need() -> None:
    """If this fails, a server is driven beyond a rate that it could not stand, or a workload is left out."""
    every = points(WORKLOADS, quick=False)
    rates = [each.rate for each in every if each.workload == OPEN]
    assert rates == sorted(rates)
    assert {each.workload for each in every} == set(WORKLOADS)
    assert [f"{each}" for each in points([DISTINCT, LENGTHS], quick=True)] == [
        "distinct, 1 client",
        "distinct, 32 clients",
        "lengths, 16 tokens",
        "lengths, 128 tokens",
        "lengths, 512 tokens",
    ]
    assert f"{Point(OPEN, rate=5.0)}" == "open, 5 /s"
    assert len({f"{each}" for each in every}) == len(every)  # texts are drawn by these names


def test_the_report_shows_medians_ratios_and_failures() -> None:
    """If this fails, the page says something else than the file."""
    windows = [window("mlapi", MANY, each, number=n, latency_ms=40) for n, each in enumerate((90, 80, 70), 1)]
    windows += [window("plain", MANY, each, number=n, latency_ms=400) for n, each in enumerate((10, 8, 9), 1)]
    windows += [window("mlapi", Point(BULK), 100), window("plain", Point(OPEN, rate=5.0), 5)]
    results = _results(*windows)
    results.runs.append(Run("mlapi", 1, 2.5, 300.0))
    results.failures.append(Failure("other", 2, "start", "ModuleNotFoundError: other\nlast line"))
    text = tables.report(results)
    assert "| `mlapi` | 80.0 | - | 40.0, 40.0 | - |" in text
    assert "| `plain` | 9.00 | - | 400, 400 | 8.89 times (7.78 to 10.0) |" in text
    assert "against the plain pipeline | 8.89 times (7.78 to 10.0) | ≥ 7.00 times | reached |" in text
    assert "| `mlapi` | 2.50 | 300 | 11.2 | 0.625 | 5.3 % |" in text
    assert "| `plain` | 10.0, 10.0 |" in text
    assert "`other`, round 2, start:\n\n```text\nModuleNotFoundError: other\nlast line\n```" in text
    assert "<https://x.example/doc>" in text
    assert "What could not be measured" not in tables.report(_results(*windows))


def test_a_rate_that_was_too_much_in_one_round_has_no_latency() -> None:
    """If this fails, the rounds in which a server had luck are shown as what it can do."""
    low, high = Point(OPEN, rate=5.0), Point(OPEN, rate=10.0)
    windows = [window("plain", low, 5, number=number, latency_ms=20) for number in (1, 2)]
    windows += [window("plain", high, 10, number=1, latency_ms=30)]  # left out in the other round
    windows += [window("mlapi", low, 5, number=number, latency_ms=2) for number in (1, 2)]
    windows += [
        window("mlapi", high, 10, number=number, latency_ms=3 if number == 1 else 2e3) for number in (1, 2)
    ]
    text = tables.report(_results(*windows))
    assert "| `plain` | 20.0, 20.0 | too much |" in text
    assert "| `mlapi` | 2.00, 2.00 | too much |" in text


def test_a_rate_of_which_half_is_answered_in_time_is_too_much() -> None:
    """If this fails, a short window makes a server that falls behind look as if it kept up."""
    whole = window("plain", Point(OPEN, rate=10.0), 10)
    assert whole.keeps_up
    assert not replace(whole, requests=whole.requests // 2).keeps_up


def test_what_was_sent_one_by_one_is_marked() -> None:
    """If this fails, single requests pass for a bulk request."""
    text = tables.report(_results(window("plain", Point(BULK), 50), window("mlapi", Point(BULK), 0.1)))
    assert "50.0 (one by one)" in text
    assert "| `mlapi` | 0.100 |" in text
