"""Same text, same answer: the check itself, on engines that keep and break the promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeTokenizer
from mlapi.errors import ModelError
from mlapi.training.invariance import BATCH, SHORT, check_invariance, choose, filler
from mlapi.types import Encoding, ModelInfo, ModelVersion, VariantId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEXTS = tuple(" ".join(["word"] * count) for count in range(1, 50))
LONGEST = 64


class Engine:
    """Answers by a text's length, or all alike, and adds something for a large batch, or for much padding."""

    name = "onnx"

    def __init__(self, *, by_batch: float = 0.0, by_padding: float = 0.0, level: float | None = None) -> None:
        self._by_batch = by_batch
        self._by_padding = by_padding
        self._level = level

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        longest = max(map(len, batch))
        drift = self._by_batch * (len(batch) > BATCH / 2) + self._by_padding * (longest == LONGEST)
        levels = [len(ids) / 20 - 1.013 if self._level is None else self._level for ids in batch]
        return np.array([[level + drift, 0.0] for level in levels], dtype=np.float32)

    def close(self) -> None:
        pass


def classifier(engine: Engine) -> Classifier:
    """Join an engine with a tokenizer that makes a token of each word."""
    info = ModelInfo(
        name="m",
        version=ModelVersion("0" * 16),
        variant="onnx-int8",
        variant_id=VariantId("0" * 16),
        engine="onnx",
        labels=("NEGATIVE", "POSITIVE"),
        max_length=LONGEST,
        activation="softmax",
    )
    return Classifier(info, TokenReader(FakeTokenizer(max_length=LONGEST), engine))


def test_an_engine_that_keeps_its_answers_passes() -> None:
    """If it fails, sound variants are not written."""
    assert check_invariance(classifier(Engine()), TEXTS) == 0


def test_small_differences_pass_and_are_told() -> None:
    """If it fails, the last digits of float32 keep every variant from being written."""
    assert 0 < check_invariance(classifier(Engine(by_batch=1e-4)), TEXTS) < 1e-3


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (Engine(by_batch=0.01), "in a batch of 32 as alone"),
        (Engine(by_padding=0.01), "padded to 64 tokens as alone"),
    ],
)
def test_an_answer_that_depends_on_its_batch_is_refused(engine: Engine, said: str) -> None:
    """If it fails, a text gets one score alone and another under load, and the cache keeps either."""
    with pytest.raises(ModelError, match=f"onnx-int8 does not give a text the same answer {said}"):
        check_invariance(classifier(engine), TEXTS)


@pytest.mark.parametrize("engine", [Engine(by_batch=0.04), Engine(by_batch=5e-6, level=-2.5e-6)])
def test_a_label_that_changes_by_more_than_rounding_is_refused(engine: Engine) -> None:
    """If it fails, the same text is called positive alone and negative in a batch."""
    with pytest.raises(ModelError, match=r"[1-9][0-9]* of 32 labels differ"):
        check_invariance(classifier(engine), TEXTS, tolerance=0.1)


def test_labels_that_are_equally_probable_may_change_places() -> None:
    """If it fails, float32's last digit decides over a model that cannot tell its labels apart."""
    assert 0 < check_invariance(classifier(Engine(by_batch=6e-7, level=-3e-7)), TEXTS) < 1e-6


def test_texts_are_spread_over_their_lengths() -> None:
    """If it fails, only texts of one length are checked."""
    encodings = [
        Encoding(payload=[1] * length, length=length, truncated=False) for length in range(200, 1, -1)
    ]
    lengths = [encoding.length for encoding in choose(encodings)]
    assert len(lengths) == BATCH
    assert (lengths[0], lengths[-1]) == (2, SHORT)


def test_the_filler_fills() -> None:
    """If it fails, texts are not padded as far as they can be in serving."""
    assert len(filler(["a b", ""], 512).split()) == 512
