"""The figures of an evaluation, from indicator matrices: a row a text, a column a label, true where given.

Labels that exclude each other give rows with a single true; the same formulas hold for those that do not.
`docs/evaluation.md` says in words what each figure means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlapi.types import Activation

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""

BINS = 15
THRESHOLD = 0.5
"""Probability from which on a label that excludes no other is given."""


def indicator(labels: Sequence[Sequence[int]], width: int) -> NDArray[np.bool_]:
    """Write label ids as a matrix of shape (len(labels), width)."""
    matrix = np.zeros((len(labels), width), dtype=np.bool_)
    for row, ids in enumerate(labels):
        matrix[row, list(ids)] = True
    return matrix


def decided(probabilities: NDArray[np.float32], activation: Activation) -> NDArray[np.bool_]:
    """Turn probabilities into given labels: the first of the largest, or with sigmoid all from 0.5 on."""
    if activation == "sigmoid":
        return probabilities >= THRESHOLD
    return indicator(probabilities.argmax(axis=1)[:, None].tolist(), probabilities.shape[1])


def agreeing(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> int:
    """Count the rows in which two matrices give the same labels."""
    return int((one == other).all(axis=1).sum())


def differences(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """Return the mean and the largest absolute difference over all texts and labels."""
    difference = np.abs(one.astype(np.float64) - other)
    return float(difference.mean()), float(difference.max())


def wilson_interval(correct: int, total: int, *, z: float = Z_95) -> tuple[float, float]:
    """Return the score interval of a share, by default at 95 % (Wilson 1927).

    Args:
        correct: Successes.
        total: Trials, at least one.
        z: Quantile of the normal distribution.
    """
    share, square = correct / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def macro_f1(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> float:
    """Return the mean over the labels of 2 TP / (2 TP + FP + FN).

    Labels that no text has and that were never given have no F1 and are left out of the mean.
    """
    hits = (truth & given).sum(axis=0)
    weight = truth.sum(axis=0) + given.sum(axis=0)  # 2 TP + FP + FN
    there = weight > 0
    return float((2 * hits[there] / weight[there]).mean()) if there.any() else 0.0


def confusion(
    truth: NDArray[np.bool_], given: NDArray[np.bool_], activation: Activation
) -> NDArray[np.int64]:
    """Count which label was given for which.

    Returns:
        With softmax, shape (labels, labels): texts of the row's label that were given the column's. With
        sigmoid, shape (labels, 2, 2): for each label, rows "does not apply, applies", columns "not given,
        given".
    """
    if activation == "softmax":
        return truth.astype(np.int64).T @ given.astype(np.int64)
    pairs = [[(~truth & ~given), (~truth & given)], [(truth & ~given), (truth & given)]]
    return np.array([[cell.sum(axis=0) for cell in row] for row in pairs], dtype=np.int64).transpose(2, 0, 1)


@dataclass(frozen=True, slots=True)
class Bin:
    """Decisions of similar confidence.

    Attributes:
        lower: Excluded, but for 0 in the first bin.
        upper: Included.
        count: How many decisions.
        confidence: Their mean confidence; None where there are none.
        accuracy: The share that is right; None where there are none.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


def calibration_bins(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_], activation: Activation, *, bins: int = BINS
) -> list[Bin]:
    """Sort decisions into bins of equal width by their confidence (Guo et al. 2017).

    With softmax a text is one decision, and its confidence the largest probability. With sigmoid each label
    of each text is one, and its confidence the probability of what was decided: p, or 1 - p.
    """
    given = decided(probabilities, activation)
    wide = probabilities.astype(np.float64)
    if activation == "softmax":
        confidence, right = wide.max(axis=1), (given == truth).all(axis=1)
    else:
        confidence, right = np.where(given, wide, 1 - wide).ravel(), (given == truth).ravel()
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    result = []
    for index in range(bins):
        inside = place == index
        count = int(inside.sum())
        result.append(
            Bin(
                lower=index / bins,
                upper=(index + 1) / bins,
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(right[inside].mean()) if count else None,
            )
        )
    return result


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean distance between confidence and accuracy, each bin weighted by its decisions."""
    total = sum(each.count for each in bins)
    return sum(
        each.count / total * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    )
