"""The figures of an evaluation, against those of scikit-learn and scipy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.training.figures import agreeing, confusion, indicator, macro_f1, wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.torch


@pytest.fixture(params=[2, 3, 7])
def labels(request: pytest.FixtureRequest) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """True and given label ids of 400 texts, rare labels among them, and how many labels there are."""
    width = int(request.param)
    random = np.random.default_rng(width)
    share = np.arange(1, width + 1) ** 2 / (np.arange(1, width + 1) ** 2).sum()
    truth = random.choice(width, 400, p=share)
    given = np.where(random.random(400) < 0.7, truth, random.integers(0, width, 400))
    return truth, given, width


def test_single_labels_as_scikit_learn_counts_them(
    labels: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> None:
    """If it fails, accuracy, F1 or confusion are not what everybody else means by these names."""
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    truth, given, width = labels
    one, other = (indicator(ids[:, None].tolist(), width) for ids in (truth, given))
    assert agreeing(one, other) / 400 == pytest.approx(accuracy_score(truth, given))
    assert macro_f1(one, other) == pytest.approx(f1_score(truth, given, average="macro"))
    np.testing.assert_array_equal(confusion(one, other, "softmax"), confusion_matrix(truth, given))


def test_several_labels_as_scikit_learn_counts_them() -> None:
    """If it fails, models whose labels do not exclude each other get other figures than elsewhere."""
    from sklearn.metrics import accuracy_score, f1_score, multilabel_confusion_matrix

    random = np.random.default_rng(0)
    truth = random.random((300, 4)) < (0.1, 0.3, 0.5, 0.7)
    given = truth ^ (random.random((300, 4)) < 0.2)
    assert agreeing(truth, given) / 300 == pytest.approx(accuracy_score(truth, given))
    assert macro_f1(truth, given) == pytest.approx(f1_score(truth, given, average="macro"))
    np.testing.assert_array_equal(
        confusion(truth, given, "sigmoid"), multilabel_confusion_matrix(truth, given)
    )


@pytest.mark.parametrize(("correct", "total"), [(0, 5), (1, 1), (5, 9), (600, 710), (769, 872), (872, 872)])
def test_interval_is_that_of_scipy(correct: int, total: int) -> None:
    """If it fails, the interval beside an accuracy is not Wilson's at 95 %."""
    from scipy.stats import binomtest

    expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-12)
