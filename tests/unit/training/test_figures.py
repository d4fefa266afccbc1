"""The figures of an evaluation, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mlapi.training.figures import (
    agreeing,
    calibration_bins,
    confusion,
    decided,
    differences,
    expected_calibration_error,
    indicator,
    macro_f1,
    wilson_interval,
)

TRUTH = indicator([[0], [0], [0], [1]], 2)
GIVEN = indicator([[0], [0], [1], [1]], 2)
"""For label 0: 2 TP, 0 FP, 1 FN. For label 1: 1 TP, 1 FP, 0 FN."""


def test_interval_is_that_of_wilson() -> None:
    """If it fails, the interval beside an accuracy is not the one that the page names."""
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_f1_is_the_mean_over_labels() -> None:
    """If it fails, a model that ignores a rare label looks as good as one that knows it."""
    assert macro_f1(TRUTH, GIVEN) == pytest.approx((4 / 5 + 2 / 3) / 2)
    nobody = indicator([[0], [0]], 3)
    assert macro_f1(nobody, nobody) == 1.0  # labels that occur nowhere do not count


def test_confusion_counts_rows_by_truth() -> None:
    """If it fails, the picture shows blame taken for praise the wrong way round."""
    np.testing.assert_array_equal(confusion(TRUTH, GIVEN, "softmax"), [[2, 1], [0, 1]])
    np.testing.assert_array_equal(confusion(TRUTH, GIVEN, "sigmoid"), [[[1, 0], [1, 2]], [[2, 1], [0, 1]]])


def test_labels_are_decided_by_the_activation() -> None:
    """If it fails, labels that do not exclude each other are judged as if they did."""
    probabilities = np.array([[0.5, 0.6, 0.1], [0.2, 0.3, 0.4]], dtype=np.float32)
    np.testing.assert_array_equal(decided(probabilities, "softmax"), indicator([[1], [2]], 3))
    np.testing.assert_array_equal(decided(probabilities, "sigmoid"), indicator([[0, 1], []], 3))


def test_agreement_and_differences() -> None:
    """If it fails, two variants look closer to each other than they are."""
    assert agreeing(TRUTH, GIVEN) == 3
    one = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
    other = np.array([[0.5, 0.5], [0.5, 0.5]], dtype=np.float32)
    assert differences(one, other) == (0.125, 0.25)


def test_calibration_error_weighs_bins_by_their_texts() -> None:
    """If it fails, the calibration error is another one than that of Guo et al."""
    # Three texts at confidence 0.9, two of them right; one at 0.6, right.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.4, 0.6]], dtype=np.float32)
    truth = indicator([[0], [0], [0], [1]], 2)
    bins = calibration_bins(probabilities, truth, "softmax")
    assert [each.count for each in bins if each.count] == [1, 3]
    assert expected_calibration_error(bins) == pytest.approx(
        3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.6), abs=1e-6
    )
