"""Running a classifier over many texts with the code that serves, and keeping what it said and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.activation import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlapi.classifier import Classifier

BATCH = 32


@dataclass(frozen=True, slots=True)
class Scores:
    """What one variant says of a list of texts.

    Attributes:
        variant: The variant's name.
        probabilities: By text and label id, shape (texts, labels), in the order of the texts.
        lengths: Tokens of each text, special ones included, after truncation.
        max_length: The most tokens that the model takes; None where it has no limit.
        seconds: Tokenising all texts and running them in batches.
        latencies: Seconds of single texts, tokenised and run alone; empty unless asked for.
    """

    variant: str
    probabilities: NDArray[np.float32]
    lengths: NDArray[np.int64]
    max_length: int | None
    seconds: float
    latencies: tuple[float, ...] = ()


def score(
    classifier: Classifier,
    texts: Sequence[str],
    *,
    batch: int = BATCH,
    singles: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Scores:
    """Run all texts in batches of neighbours in length.

    Args:
        classifier: A loaded variant.
        texts: At least one.
        batch: Texts in one call of the engine.
        singles: How many texts to run once more, each alone, for the latency: spread evenly over the lengths.
        progress: Is told how many texts more are done; singles count as texts.

    Raises:
        EngineError: The engine failed, or gave output of a wrong shape or a non-finite one.
    """
    tell = progress or (lambda _: None)
    began = time.perf_counter()
    encodings = classifier.encode(texts)
    order = sorted(range(len(encodings)), key=lambda row: encodings[row].length)
    probabilities = np.empty((len(texts), len(classifier.info.labels)), dtype=np.float32)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        logits = classifier.logits([encodings[row] for row in rows])
        probabilities[rows] = activate(logits, classifier.info.activation)
        tell(len(rows))
    seconds = time.perf_counter() - began
    latencies = []
    for row in _spread(order, singles):
        began = time.perf_counter()
        classifier.classify(classifier.encode([texts[row]]))
        latencies.append(time.perf_counter() - began)
        tell(1)
    return Scores(
        variant=classifier.info.variant,
        probabilities=probabilities,
        lengths=np.array([encoding.length for encoding in encodings], dtype=np.int64),
        max_length=classifier.info.max_length,
        seconds=seconds,
        latencies=tuple(latencies),
    )


def _spread(order: Sequence[int], count: int) -> list[int]:
    """Return at most `count` entries of a list, its first and last among them, at even distances."""
    places = np.linspace(0, len(order) - 1, num=min(count, len(order)))
    return [order[place] for place in places.round().astype(int).tolist()]
