"""Throughput by the clients' cycles."""

from __future__ import annotations

import pytest

from bench.load.renewals import Renewals


def test_cycles_count_from_the_first_answer_in_the_window_to_the_first_after_it() -> None:
    """If this fails, throughput counts the warm-up, or waits for an answer with nothing to wait for."""
    renewals = Renewals(2)
    renewals.add(0, 0.9, good=True, texts=1)  # no window yet
    renewals.window(1.0, 2.0)
    for now in (1.2, 1.6, 2.0):
        renewals.add(0, now, good=True, texts=1)
    renewals.add(0, 2.4, good=True, texts=1)  # later ones do not count
    assert renewals.rates() is None
    renewals.add(1, 2.1, good=True, texts=1)  # slower than the window is long
    assert not renewals.complete
    renewals.add(1, 3.3, good=True, texts=1)
    assert renewals.complete
    assert renewals.rates() == pytest.approx((2 * 3 / 2.0, 2 * 3 / 2.0))


def test_failures_take_time_and_are_worth_nothing() -> None:
    """If this fails, a server that refuses quickly looks fast."""
    renewals = Renewals(1)
    renewals.window(0.0, 3.0)
    for now, good in ((0.0, True), (1.0, False), (2.0, True), (4.0, False)):
        renewals.add(0, now, good=good, texts=5)
    assert renewals.rates() == (0.25, 1.25)
