"""The judgement of the comparison on made-up numbers."""

from __future__ import annotations

import math

import pytest

from bench.compare.medians import best, median, ratio
from bench.compare.points import DISTINCT, LENGTHS, Point
from bench.compare.verdicts import PUBLISHED, documented, judge, on_own_engine, published_speed_up
from tests.support.bench_windows import window

MANY, ONE = Point(DISTINCT, clients=32), Point(DISTINCT, clients=1)
ENGINES = {
    "mlapi": "openvino int8",
    "plain": "torch fp32",
    "quick": "onnx fp32",
    "quicker": "torch fp32",
    "ours-a": "openvino int8",
    "ours-b": "openvino int8",
}


def test_ratios_are_of_medians_and_ranges_are_within_rounds() -> None:
    """If this fails, drift between rounds passes for a difference between servers."""
    windows = [
        window("mlapi", MANY, each, number=number) for number, each in enumerate((100, 300, 200), start=1)
    ]
    windows += [
        window("plain", MANY, each, number=number) for number, each in enumerate((20, 30, 50), start=1)
    ]
    windows += [window("plain", ONE, 1000)]
    found = ratio(windows, "mlapi", "plain", MANY, lambda each: each.requests_per_s)
    assert (found.value, found.low, found.high) == pytest.approx((200 / 30, 4, 10))
    assert median(windows, "mlapi", MANY, lambda each: each.requests_per_s) == 200
    assert math.isnan(median(windows, "nobody", MANY, lambda each: each.requests_per_s))
    assert math.isnan(ratio(windows, "mlapi", "nobody", MANY, lambda each: each.requests_per_s).value)


def test_a_ratio_range_uses_the_rounds_that_both_have() -> None:
    """If this fails, a round that one server missed is compared with another round of the other one."""
    windows = [window("mlapi", MANY, 100, number=1), window("mlapi", MANY, 300, number=2)]
    windows += [window("plain", MANY, 20, number=2), window("plain", MANY, 0, number=3)]
    found = ratio(windows, "mlapi", "plain", MANY, lambda each: each.requests_per_s)
    assert (found.low, found.high) == (15, 15)


def test_the_best_is_the_one_with_the_highest_median() -> None:
    """If this fails, a lucky round makes a peer the best one, or a slow peer is taken for it."""
    windows = [
        window("quick", MANY, each, number=number) for number, each in enumerate((50, 50, 50), start=1)
    ]
    windows += [
        window("quicker", MANY, each, number=number) for number, each in enumerate((40, 99, 41), start=1)
    ]
    assert best(windows, ["quick", "quicker", "nobody"], MANY, lambda each: each.requests_per_s) == "quick"
    assert best(windows, ["nobody"], MANY, lambda each: each.requests_per_s) is None


def test_peers_on_our_engine_are_not_peers_as_documented() -> None:
    """If this fails, our own model in another server raises or lowers the bar that documented peers set."""
    assert documented(ENGINES) == ["plain", "quick", "quicker"]
    assert on_own_engine(ENGINES) == ["ours-a", "ours-b"]


def test_each_target_is_held_against_its_own_rival() -> None:
    """If this fails, a target is called reached by a comparison with the wrong server."""
    speeds = {"mlapi": 210, "plain": 30, "quick": 60, "quicker": 84.1, "ours-a": 120, "ours-b": 175}
    windows = [window(name, MANY, speed) for name, speed in speeds.items()]
    windows += [window("mlapi", ONE, 100, latency_ms=5), window("plain", ONE, 30, latency_ms=25)]
    plain, documented_, own, latency, *_ = judge(windows, ENGINES)
    assert (plain.ratio.value, plain.reached) == (7.0, True)
    assert documented_.ratio.value == pytest.approx(210 / 84.1)
    assert not documented_.reached
    assert "(quicker)" in documented_.what
    assert (own.ratio.value, own.target, own.reached) == (1.2, 1.2, True)
    assert "(ours-b)" in own.what
    assert latency.ratio.value == pytest.approx(5.0)
    assert latency.reached


def test_every_length_has_the_published_speed_up_as_its_target() -> None:
    """If this fails, a length is compared with what was published for another one."""
    assert published_speed_up(8) == pytest.approx(248 / 49)
    assert published_speed_up(512) == 3.0
    windows = []
    for tokens in PUBLISHED:
        point = Point(LENGTHS, clients=1, tokens=tokens)
        windows += [window("plain", point, 10), window("mlapi", point, 10 * published_speed_up(tokens) + 0.2)]
    verdicts = judge(windows, ENGINES)[-len(PUBLISHED) :]
    assert [verdict.reached for verdict in verdicts] == [True] * len(PUBLISHED)
    slower = [window("mlapi", each.point, 25) if each.contestant == "mlapi" else each for each in windows]
    assert not any(verdict.reached for verdict in judge(slower, ENGINES))


def test_what_was_not_measured_is_not_reached() -> None:
    """If this fails, a bench without a rival reports victory."""
    verdicts = judge([window("mlapi", MANY, 1000)], ENGINES)
    assert len(verdicts) == 4 + len(PUBLISHED)
    assert not any(verdict.measured or verdict.reached for verdict in verdicts)
