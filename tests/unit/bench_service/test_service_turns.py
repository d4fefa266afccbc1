"""How turns interleave, and what becomes of what they give."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest

from bench.load.result import Load
from bench.service import report
from bench.service.bench import Result, flat, interleaved, server_ms, spread
from bench.verdict import Verdict


def test_turns_change_their_order_from_round_to_round() -> None:
    """If this fails, a machine that becomes slower counts against whoever is always last."""
    order: list[str] = []

    def turn(name: str) -> int:
        order.append(name)
        return len(order)

    assert interleaved({name: partial(turn, name) for name in "ab"}, rounds=3) == {
        "a": [1, 4, 5],
        "b": [2, 3, 6],
    }
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_cpu_is_divided_by_the_answers_of_its_window() -> None:
    """If this fails, every CPU figure per request is wrong, or a window without answers divides by zero."""
    assert server_ms(Load(seconds=2.0, completed=400, server_cpu_s=0.2)) == pytest.approx(0.5)
    assert math.isnan(server_ms(Load(seconds=2.0, completed=0, server_cpu_s=0.2)))


def test_a_window_becomes_numbers() -> None:
    """If this fails, tables and JSON show other values than the load generator counted."""
    load = Load(
        latencies_s=[0.001, 0.002, 0.003],
        seconds=2.0,
        completed=3,
        texts=6,
        statuses={200: 3, 503: 1},
        client_cpu_s=0.5,
        server_cpu_s=0.03,
        hits=3,
        misses=1,
    )
    assert flat(load) == pytest.approx(
        {
            "seconds": 2.0,
            "requests_per_s": 1.5,
            "texts_per_s": 3.0,
            "median_ms": 2.0,
            "p95_ms": 3.0,
            "p99_ms": 3.0,
            "server_cpu_ms": 10.0,
            "client_cpu_share": 0.25,
            "hit_share": 0.75,
            "failed": 1,
            "dropped": 0,
        }
    )


def test_a_spread_tells_median_and_range() -> None:
    """If this fails, a table shows a number that no round stands behind."""
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"
    assert spread([1234.0]) == "1234"


def test_a_report_holds_every_verdict_and_table() -> None:
    """If this fails, a missed target does not show, or page and JSON of one run disagree."""
    missed = Verdict("something", 2.0, "≤", 1.4, "times")
    results = {
        "one": Result("some title", [missed], ["| a table |"], {"values": [1.0]}),
        "two": Result("growth", [], ["| another |"]),
    }
    page = report.markdown({"processor": "some CPU"}, list(results.values()))
    assert "| something | 2.00 times | ≤ 1.4 times | **not reached** |" in page
    assert page.index("**Some title**") < page.index("| a table |") < page.index("| another |")
    assert "| processor | some CPU |" in page
    content = json.loads(json.dumps(report.as_json({"processor": "some CPU"}, results)))
    assert content["measurements"]["one"]["verdicts"] == [
        {
            "what": "something",
            "value": 2.0,
            "bound": "≤",
            "target": 1.4,
            "unit": "times",
            "reached": False,
        }
    ]
    assert content["measurements"]["one"]["numbers"] == {"values": [1.0]}


def test_a_report_without_targets_has_no_verdicts() -> None:
    """If this fails, `--only growth` prints an empty table of targets."""
    assert "aimed at" not in report.markdown({}, [Result("growth", [], ["| another |"])])
