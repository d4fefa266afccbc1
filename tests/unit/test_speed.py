"""The running estimate of the engine's speed."""

from __future__ import annotations

import pytest

from mlapi.speed import EngineSpeed


def test_nothing_is_known_before_the_first_batch() -> None:
    """The first request would be refused, or divide by zero."""
    speed = EngineSpeed()
    assert (speed.seconds_per_token, speed.tokens_per_text) == (0.0, 0.0)


def test_large_batches_weigh_more() -> None:
    """A few single texts, which are dear per token, would make a long queue look far longer than it is."""
    speed = EngineSpeed()
    speed.note(texts=1, tokens=10, seconds=0.01)
    speed.note(texts=50, tokens=1000, seconds=0.1)
    assert speed.seconds_per_token == pytest.approx(0.109 / 1009)
    assert speed.tokens_per_text == pytest.approx(1009 / 50.9)


def test_old_batches_are_forgotten() -> None:
    """One slow call would count for ever."""
    speed = EngineSpeed()
    speed.note(texts=1, tokens=10, seconds=300)
    for _ in range(200):
        speed.note(texts=1, tokens=10, seconds=0.01)
    assert speed.seconds_per_token == pytest.approx(0.001, rel=0.01)
