"""Running a classifier over texts: every answer beside its text, whatever the batches were."""

from __future__ import annotations

import numpy as np
import pytest

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.training.scoring import score
from mlapi.types import ModelInfo, ModelVersion, VariantId

TEXTS = ("one two three four five", "one", "six seven", "three one two", "two", "nine ten eleven twelve")
LENGTHS = [7, 3, 4, 5, 3, 6]
"""Words, and two special tokens."""


def _lengths(engine: FakeEngine) -> list[list[int]]:
    """Return the lengths of each batch that an engine was given."""
    return [[len(ids) for ids in batch] for batch in engine.batches]


@pytest.fixture
def engine() -> FakeEngine:
    """An engine that tells what it was given."""
    return FakeEngine()


@pytest.fixture
def classifier(engine: FakeEngine) -> Classifier:
    """A model without weights."""
    info = ModelInfo(
        name="tiny",
        version=ModelVersion("0" * 16),
        variant="fake",
        variant_id=VariantId("1" * 16),
        engine="fake",
        labels=("NEGATIVE", "POSITIVE"),
        max_length=8,
        activation="softmax",
    )
    return Classifier(info, TokenReader(FakeTokenizer(max_length=8), engine))


def test_answers_are_in_the_order_of_the_texts(classifier: Classifier) -> None:
    """If it fails, sorting by length gives each text the answer of another, and every figure is wrong."""
    alone = [classifier.classify(classifier.encode([text]))[0] for text in TEXTS]
    scores = score(classifier, TEXTS, batch=2)
    np.testing.assert_allclose(scores.probabilities, alone, atol=1e-6)
    assert scores.lengths.tolist() == LENGTHS
    assert (scores.variant, scores.max_length) == ("fake", 8)


def test_batches_hold_neighbours_in_length(classifier: Classifier, engine: FakeEngine) -> None:
    """If it fails, an evaluation pads short texts to the longest, and measures the padding."""
    score(classifier, TEXTS, batch=4)
    assert _lengths(engine) == [[3, 3, 4, 5], [6, 7]]


def test_single_texts_are_spread_over_the_lengths(classifier: Classifier, engine: FakeEngine) -> None:
    """If it fails, the latency is that of short texts, or of long ones."""
    scores = score(classifier, TEXTS, singles=3)
    assert len(scores.latencies) == 3
    assert _lengths(engine)[1:] == [[3], [4], [7]]
    assert len(score(classifier, TEXTS, singles=100).latencies) == len(TEXTS)
    assert score(classifier, TEXTS).latencies == ()


def test_progress_counts_every_run(classifier: Classifier) -> None:
    """If it fails, the bar ends short of its end, or beyond."""
    told: list[int] = []
    score(classifier, TEXTS, batch=4, singles=2, progress=told.append)
    assert told == [4, 2, 1, 1]
