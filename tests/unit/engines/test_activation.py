from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlapi.engines.activation import activate

LOGITS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(2, 6)),
    elements=st.floats(-(2.0**127), 2.0**127, width=32),
)


def test_softmax_gives_the_textbook_values() -> None:
    """If it fails, every score of every softmax model is wrong."""
    logits = np.log(np.array([[1, 2, 5], [3, 3, 2]], dtype=np.float32))
    expected = [[0.125, 0.25, 0.625], [0.375, 0.375, 0.25]]
    np.testing.assert_allclose(activate(logits, "softmax"), expected, rtol=1e-6)


def test_sigmoid_gives_the_textbook_values() -> None:
    """If it fails, every score of every model with independent labels is wrong."""
    logits = np.array([[0.0, 1.0, -2.5]], dtype=np.float32)
    expected = [[1 / (1 + math.exp(-value)) for value in (0.0, 1.0, -2.5)]]
    np.testing.assert_allclose(activate(logits, "sigmoid"), expected, rtol=1e-6)


@pytest.mark.parametrize("size", [100, 1e4, 1e30, float(np.finfo(np.float32).max)])
def test_huge_logits_do_not_overflow(size: float) -> None:
    """If it fails, a very confident model answers with NaN."""
    logits = np.array([[size, -size], [-size, size], [size, size], [-size, -size]], dtype=np.float32)
    np.testing.assert_array_equal(activate(logits, "softmax"), [[1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(activate(logits, "sigmoid"), [[1, 0], [0, 1], [1, 1], [0, 0]])


def test_large_negative_outlier_does_not_hide_the_winner() -> None:
    """If it fails, the maximum is taken by absolute value, and confident rows underflow to zero over zero."""
    logits = np.array([[-1000.0, 1.0, 0.0]], dtype=np.float32)
    expected = [[0, 1 / (1 + math.exp(-1)), 1 / (1 + math.e)]]
    np.testing.assert_allclose(activate(logits, "softmax"), expected, rtol=1e-6)


def test_softmax_does_not_care_for_a_common_offset() -> None:
    """If it fails, softmax is not computed relative to each row's own maximum."""
    logits = np.array([[1.0, 2.0], [513.0, 514.0]], dtype=np.float32)
    first, second = activate(logits, "softmax")
    np.testing.assert_array_equal(first, second)


@settings(deadline=None)  # a busy machine must not fail it
@given(LOGITS)
def test_softmax_rows_are_distributions(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """If it fails, some logits give scores that are no probabilities."""
    scores = activate(logits, "softmax")
    assert scores.shape == logits.shape
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores.sum(axis=1, dtype=np.float64), 1, atol=1e-6)


@settings(deadline=None)  # a busy machine must not fail it
@given(LOGITS)
def test_sigmoid_keeps_each_score_between_zero_and_one(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    """If it fails, some logits give scores that are no probabilities."""
    scores = activate(logits, "sigmoid")
    assert scores.shape == logits.shape
    assert ((scores >= 0) & (scores <= 1)).all()


@settings(deadline=None)  # a busy machine must not fail it
@given(LOGITS)
def test_higher_logit_never_gets_the_lower_score(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    """If it fails, the first label of an answer may not be the model's choice."""
    for activated in (activate(logits, "softmax"), activate(logits, "sigmoid")):
        ordered = np.take_along_axis(activated, logits.argsort(axis=1), axis=1)
        assert (np.diff(ordered, axis=1) >= 0).all()


def test_result_is_float32_and_the_logits_stay_as_they_are() -> None:
    """If it fails, cached scores (float32) differ from fresh ones, or logits are spoilt."""
    logits = np.array([[0.3, -0.7]], dtype=np.float32)
    before = logits.copy()
    assert activate(logits, "softmax").dtype == np.float32
    assert activate(logits, "sigmoid").dtype == np.float32
    np.testing.assert_array_equal(logits, before)


def test_no_text_gives_no_row() -> None:
    """If it fails, an empty batch crashes where it should give nothing."""
    assert activate(np.zeros((0, 2), dtype=np.float32), "softmax").shape == (0, 2)
    assert activate(np.zeros((0, 2), dtype=np.float32), "sigmoid").shape == (0, 2)
