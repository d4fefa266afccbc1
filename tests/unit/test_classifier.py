from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.classifier import Classifier, TextReader, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.errors import EngineError, GoldenMismatch
from mlapi.models.manifest import Golden
from mlapi.types import Encoding, ModelInfo, ModelVersion, VariantId
from tests.support.fakes import SharedFakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

INFO = ModelInfo(
    name="tiny",
    version=ModelVersion("0" * 16),
    variant="fake",
    variant_id=VariantId("1" * 16),
    engine="fake",
    labels=("NEGATIVE", "POSITIVE"),
    max_length=8,
    activation="softmax",
)
SECRET = "a text that nobody else may read"


class LengthTextEngine:
    """A `TextEngine` whose logits are 0 and the length of the text."""

    name = "length"

    def __init__(self) -> None:
        self.closed = False

    def infer_texts(self, batch: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[0, len(text)] for text in batch], dtype=np.float32)

    def close(self) -> None:
        self.closed = True


class ScriptedEngine:
    """A `TokenEngine` that does as it is told."""

    name = "scripted"

    def __init__(self, act: Callable[[Sequence[Sequence[int]]], NDArray[np.float32]]) -> None:
        self._act = act
        self.closed = False

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        return self._act(batch)

    def close(self) -> None:
        self.closed = True


def _classifier(answer: Callable[[Sequence[Sequence[int]]], NDArray[np.float32]]) -> Classifier:
    return Classifier(INFO, TokenReader(FakeTokenizer(max_length=8), ScriptedEngine(answer)))


def _answering(rows: object) -> Classifier:
    return _classifier(lambda _: np.array(rows, dtype=np.float32))


def test_texts_go_through_tokenizer_engine_and_activation() -> None:
    """If it fails, the three parts are joined wrongly, or answers come in another order."""
    engine = FakeEngine()
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(max_length=8), engine))
    encodings = classifier.encode(["good", "bad film"])
    scores = classifier.classify(encodings)
    assert engine.batches == [[tuple(encoding.payload) for encoding in encodings]]
    logits = FakeEngine().infer([encoding.payload for encoding in encodings])  # type: ignore[misc]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_activation_is_the_models_own() -> None:
    """If it fails, a model with independent labels is answered with a softmax."""
    reader = TokenReader(FakeTokenizer(), ScriptedEngine(lambda _: np.array([[0, 0]], dtype=np.float32)))
    encodings = [Encoding(payload=[1, 2], length=2, truncated=False)]
    assert Classifier(INFO, reader).classify(encodings) == [(0.5, 0.5)]
    reader = TokenReader(FakeTokenizer(), ScriptedEngine(lambda _: np.array([[9, 9]], dtype=np.float32)))
    (scores,) = Classifier(replace(INFO, activation="sigmoid"), reader).classify(encodings)
    assert scores == pytest.approx((0.99987661, 0.99987661))


def test_probabilities_are_exact_in_float32() -> None:
    """If it fails, a cached answer, which is stored as float32, differs from the fresh one."""
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(), FakeEngine()))
    for row in classifier.classify(classifier.encode([f"text {number}" for number in range(50)])):
        assert all(type(score) is float for score in row)
        assert row == tuple(np.array(row, dtype=np.float32).tolist())


def test_text_engine_gets_the_texts_themselves() -> None:
    """If it fails, the lab model is fed something else than what was asked."""
    engine = LengthTextEngine()
    classifier = Classifier(INFO, TextReader(engine))
    encodings = classifier.encode(["", "12345678901"])
    assert encodings == [
        Encoding(payload="", length=1, truncated=False),
        Encoding(payload="12345678901", length=3, truncated=False),
    ]
    np.testing.assert_array_equal(classifier.logits(encodings), [[0, 0], [0, 11]])
    classifier.close()
    assert engine.closed


def test_close_closes_the_engine() -> None:
    """If it fails, engines outlive the service's shutdown."""
    engine = ScriptedEngine(lambda _: np.zeros((1, 2), dtype=np.float32))
    Classifier(INFO, TokenReader(FakeTokenizer(), engine)).close()
    assert engine.closed


@pytest.mark.parametrize(
    "rows", [[[0, 0]], [[0, 0]] * 3, [[0], [0]], [[0, 0, 0]] * 2, [0, 0], [[[0, 0]] * 2], []]
)
def test_output_of_a_wrong_shape_is_an_engine_error(rows: object) -> None:
    """If it fails, texts get each other's answers, or lack one."""
    classifier = _answering(rows)
    with pytest.raises(EngineError, match=r"gave shape .* where \(2, 2\) was due"):
        classifier.classify(classifier.encode(["one", "two"]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [(0, 0), (1, 1)])
def test_non_finite_output_is_an_engine_error(value: float, place: tuple[int, int]) -> None:
    """If it fails, a client is answered with NaN, or with a certainty that no model has."""
    rows = [[0.0, 0.0], [0.0, 0.0]]
    rows[place[0]][place[1]] = value
    classifier = _answering(rows)
    with pytest.raises(EngineError, match="non-finite"):
        classifier.classify(classifier.encode(["one", "two"]))


@pytest.mark.parametrize(
    "raised", [RuntimeError(SECRET), ValueError(SECRET), MemoryError(SECRET), KeyError(SECRET)]
)
def test_exception_inside_the_engine_is_told_by_its_kind_alone(raised: Exception) -> None:
    """If it fails, a runtime's message, which may hold the input text, gets into errors and logs."""

    def fail(_: object) -> NDArray[np.float32]:
        raise raised

    classifier = _classifier(fail)
    with pytest.raises(EngineError) as caught:
        classifier.classify(classifier.encode([SECRET]))
    assert str(caught.value) == f"the fake engine failed ({type(raised).__name__})"
    assert caught.value.__cause__ is raised


def test_interruption_of_the_process_is_not_an_engine_error() -> None:
    """If it fails, Ctrl-C during inference is swallowed as one failed batch."""

    def interrupt(_: object) -> NDArray[np.float32]:
        raise KeyboardInterrupt

    classifier = _classifier(interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier.classify(classifier.encode(["one"]))


def _golden(text: str = "good film", *, off: float = 0.0, truncated: bool = False) -> Golden:
    (encoding,) = FakeTokenizer(max_length=8).encode([text])
    ((first, second),) = FakeEngine().infer([encoding.payload]).tolist()  # type: ignore[list-item]
    return Golden(text=text, logits=(first + off, second), truncated=truncated)


def _fake() -> Classifier:
    return Classifier(INFO, TokenReader(FakeTokenizer(max_length=8), FakeEngine()))


def test_golden_texts_that_agree_pass() -> None:
    """If it fails, no model starts."""
    _fake().check_golden([_golden(), _golden("word " * 10, truncated=True)], tolerance=1e-4)


def test_golden_deviation_names_text_model_and_sizes() -> None:
    """If it fails, wrong answers are served, or the error does not say of what and by how much."""
    with pytest.raises(GoldenMismatch) as caught:
        _fake().check_golden([_golden(), _golden("bad", off=3)], tolerance=0.01)
    message = str(caught.value)
    assert message.startswith("tiny (fake): golden text 2 deviates by ")
    assert "more than 0.01;" in message
    assert "try another variant" in message


def test_golden_deviation_within_the_tolerance_passes() -> None:
    """If it fails, the tolerance of a variant is ignored."""
    _fake().check_golden(
        [_golden("bad", off=0.01)], tolerance=0.01
    )  # a logit's 0.01 is 0.0025 at most in a score


def test_golden_deviation_counts_in_probabilities_so_a_common_offset_passes() -> None:
    """If it fails, softmax models are refused for a difference that no answer shows."""
    golden = _golden()
    shifted = golden.model_copy(update={"logits": tuple(logit + 5 for logit in golden.logits)})
    _fake().check_golden([shifted], tolerance=1e-4)


@pytest.mark.parametrize(
    ("text", "truncated", "said"), [("short", True, "not truncated"), ("w " * 9, False, "truncated")]
)
def test_golden_truncation_must_agree(text: str, said: str, *, truncated: bool) -> None:
    """If it fails, a tokenizer that cuts elsewhere than the reference goes unnoticed."""
    with pytest.raises(GoldenMismatch, match=f"golden text 1 is {said}, against the manifest"):
        _fake().check_golden([_golden(text, truncated=truncated)], tolerance=1e-4)


def test_golden_texts_are_run_in_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, a graph that answers wrongly beside others starts, and only load shows it."""
    engine = SharedFakeEngine()
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(max_length=8), engine))
    classifier.check_golden([_golden()], tolerance=1e-4)
    assert engine.ways == ["alone", "beside", "beside"], "each of two calls may have kernels of its own"
    monkeypatch.setattr(engine, "infer_beside", lambda batch: -engine.infer(batch))
    with pytest.raises(GoldenMismatch, match="golden text 1 deviates by"):
        classifier.check_golden([_golden()], tolerance=1e-4)


def test_golden_that_is_no_number_fails() -> None:
    """If it fails, a damaged manifest lets every engine pass: no comparison with NaN is ever true."""
    golden = Golden.model_construct(text="good", logits=(float("nan"), 0.0), truncated=False)
    with pytest.raises(GoldenMismatch, match="deviates by nan"):
        _fake().check_golden([golden], tolerance=0.1)


def test_engine_failure_on_a_golden_text_is_raised() -> None:
    """If it fails, a model that cannot answer its own golden texts starts."""
    engine = FakeEngine()
    engine.fail_on = {FakeTokenizer.token("good")}
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(max_length=8), engine))
    with pytest.raises(EngineError):
        classifier.check_golden([_golden()], tolerance=0.1)
