from __future__ import annotations

import dataclasses

import pytest

from mlapi.types import Encoding, Outcome, Prediction, Timings


def test_truncated_texts_of_an_outcome_are_counted() -> None:
    """If it fails, X-Truncated does not say how many texts were cut."""
    whole, cut = Prediction((0.25, 0.75), truncated=False), Prediction((0.5, 0.5), truncated=True)
    assert Outcome([cut, whole, cut]).truncated == 2
    assert Outcome([]).truncated == 0


def test_timings_start_at_zero_for_each_outcome() -> None:
    """If it fails, a request answered from the cache reports another one's times."""
    assert Outcome([]).timings == Timings(cache=0, tokenize=0, queue=0, infer=0)


@pytest.mark.parametrize("value", [Prediction((1.0,), truncated=False), Encoding([1], 1, truncated=False)])
def test_values_cannot_be_changed_on_their_way(value: Prediction | Encoding) -> None:
    """If it fails, a text that two requests share can be changed by one of them under the other."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.truncated = True  # type: ignore[misc]
    assert not hasattr(value, "__dict__")


def test_equal_predictions_are_equal() -> None:
    """If it fails, hit and miss of one text cannot be compared."""
    assert Prediction((0.25, 0.75), truncated=False) == Prediction((0.25, 0.75), truncated=False)
    assert Prediction((0.25, 0.75), truncated=False) != Prediction((0.25, 0.75), truncated=True)
