"""Same text, same answer: whatever a text is batched with, and however far it is padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.activation import activate
from mlapi.errors import ModelError
from mlapi.training.figures import agreeing, decided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlapi.classifier import Classifier
    from mlapi.types import Encoding

TOLERANCE = 1e-3
"""Largest difference of a probability between two ways to run the same text."""

ROUNDING = 1e-6
"""Largest change of a probability that counts as float32's rounding, and in which a label may change."""

BATCH = 32
PADDED = 8
"""Texts that are padded to the maximum length together; more would only take memory."""

SHORT = 128
"""Tokens of the longest text that is checked; what is longer is hardly padded in any batch."""


def check_invariance(classifier: Classifier, texts: Sequence[str], *, tolerance: float = TOLERANCE) -> float:
    """Run texts alone, in a batch of 32, and padded to the model's maximum length, and compare.

    Args:
        classifier: A loaded variant.
        texts: Real ones; 32 of them are used, spread over their lengths.
        tolerance: Largest difference of a probability that passes.

    Returns:
        The largest difference that was found.

    Raises:
        ModelError: A probability differs by more than the tolerance, or a label by more than rounding.
        EngineError: The engine failed.
    """
    chosen = choose(classifier.encode(texts))
    longest = classifier.encode([filler(texts, classifier.info.max_length or 1)])
    alone = _probabilities(classifier, [[encoding] for encoding in chosen])
    others = {
        f"in a batch of {len(chosen)}": _probabilities(classifier, [chosen]),
        f"padded to {longest[0].length} tokens": np.concatenate(
            [
                _probabilities(classifier, [[*chosen[start : start + PADDED], *longest]])[:-1]
                for start in range(0, len(chosen), PADDED)
            ]
        ),
    }
    worst = 0.0
    for how, probabilities in others.items():
        by_text = np.abs(alone - probabilities).max(axis=1)
        difference = float(by_text.max())
        before, after = (decided(each, classifier.info.activation) for each in (alone, probabilities))
        differing = by_text > ROUNDING
        changed = int(differing.sum()) - agreeing(before[differing], after[differing])
        if difference > tolerance or changed:
            raise ModelError(
                f"{classifier.info.variant} does not give a text the same answer {how} as alone: a "
                f"probability differs by {difference:.2g} where {tolerance:g} is allowed, and {changed} of "
                f"{len(chosen)} labels differ"
            )
        worst = max(worst, difference)
    return worst


def choose(encodings: Sequence[Encoding]) -> list[Encoding]:
    """Pick at most `BATCH` texts of at most `SHORT` tokens, the shortest and the longest of them included."""
    ordered = sorted(encodings, key=lambda encoding: encoding.length)
    short = [encoding for encoding in ordered if encoding.length <= SHORT] or ordered[:1]
    places = np.linspace(0, len(short) - 1, num=min(BATCH, len(short))).round().astype(int)
    return [short[place] for place in places.tolist()]


def filler(texts: Sequence[str], max_length: int) -> str:
    """Join texts until nothing of them fits any more: a token has at least one character of a text."""
    words = " ".join(texts).split() or ["a"]
    return " ".join((words * (1 + max_length // len(words)))[: max(1, max_length)])


def _probabilities(classifier: Classifier, batches: Sequence[Sequence[Encoding]]) -> NDArray[np.float32]:
    rows = [activate(classifier.logits(batch), classifier.info.activation) for batch in batches]
    return np.concatenate(rows)
