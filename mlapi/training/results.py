"""What an evaluation says of one variant: how right, how near to float32, how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlapi.training.figures import Bin
    from mlapi.training.labelled import TextSet
    from mlapi.training.scoring import Scores
    from mlapi.types import Activation


@dataclass(frozen=True, slots=True)
class Quality:
    """How right a variant is, on the texts that have a label.

    Attributes:
        correct: Texts with the right label; with sigmoid, with all labels right.
        total: Labelled texts.
        interval: Of the accuracy, at 95 %.
        macro_f1: From 0 to 1.
        calibration_error: Expected calibration error, from 0 to 1.
        bins: What it was computed from.
        confusion: See `mlapi.training.figures.confusion`.
    """

    correct: int
    total: int
    interval: tuple[float, float]
    macro_f1: float
    calibration_error: float
    bins: tuple[Bin, ...]
    confusion: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return self.correct / self.total


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near a variant's answers are to the reference's, on all texts.

    Attributes:
        agreement: Share of the texts with the same label.
        mean_difference: Of a probability, over all texts and labels.
        largest_difference: The same, the largest.
    """

    agreement: float
    mean_difference: float
    largest_difference: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One variant's figures.

    Attributes:
        variant: The variant's name.
        texts_per_second: Tokenised and run in batches.
        latency_median: Of a single text, in seconds.
        latency_p95: The same, the 95th percentile.
        singles: How many texts the latencies are of.
        quality: None where no text is labelled.
        closeness: None for the reference itself, and where there is none.
    """

    variant: str
    texts_per_second: float
    latency_median: float
    latency_p95: float
    singles: int
    quality: Quality | None
    closeness: Closeness | None


def figures_of(
    scores: Scores, texts: TextSet, *, reference: Scores | None, activation: Activation
) -> Evaluation:
    """Compute one variant's figures from what it said.

    Args:
        scores: What it said of the texts, with latencies.
        texts: The texts with their labels.
        reference: What float32 said of them; None where there is none. May be `scores` itself.
        activation: The model's activation.
    """
    given = decided(scores.probabilities, activation)
    closeness = None
    if reference is not None and reference is not scores:
        mean, largest = differences(reference.probabilities, scores.probabilities)
        agree = agreeing(decided(reference.probabilities, activation), given)
        closeness = Closeness(agree / len(given), mean, largest)
    rows = [row for row, label in enumerate(texts.labels) if label is not None]
    quality = None
    if rows:
        truth = indicator([texts.labels[row] or () for row in rows], given.shape[1])
        bins = calibration_bins(scores.probabilities[rows], truth, activation)
        correct = agreeing(given[rows], truth)
        quality = Quality(
            correct=correct,
            total=len(rows),
            interval=wilson_interval(correct, len(rows)),
            macro_f1=macro_f1(truth, given[rows]),
            calibration_error=expected_calibration_error(bins),
            bins=tuple(bins),
            confusion=confusion(truth, given[rows], activation),
        )
    median, p95 = np.percentile(scores.latencies, [50, 95]).tolist()
    return Evaluation(
        variant=scores.variant,
        texts_per_second=len(given) / scores.seconds,
        latency_median=median,
        latency_p95=p95,
        singles=len(scores.latencies),
        quality=quality,
        closeness=closeness,
    )
