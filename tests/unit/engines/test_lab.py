"""The lab engine on a model of a few n-grams, computed by hand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mlapi.engines.factory import load_classifier
from mlapi.engines.lab import LabEngine
from mlapi.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
    "lowercase": True,
    "token_pattern": r"n't|[a-z0-9]+?(?=n't)|'[a-z]+|[a-z0-9]+|[!?]",
    "ngram_range": [1, 2],
    "sublinear_tf": True,
    "intercept": 0.25,
}
WEIGHTS = {
    "!": (1.5, 0.5),
    "caf": (3.0, 1.0),
    "do": (1.0, 0.0),
    "do n't": (2.0, -1.0),
    "good": (2.0, 3.0),
    "n't": (1.5, -2.0),
    "n't good": (4.0, -5.0),
}
COMMITTED = "models/lab"


def write_lab(
    directory: Path, *, weights: dict[str, tuple[float, float]] | None = None, **config: Any
) -> Path:
    """Write the four files of a lab model, with parts of the config replaced."""
    chosen = WEIGHTS if weights is None else weights
    (directory / "config.json").write_text(json.dumps({**CONFIG, **config}), encoding="utf-8")
    (directory / "vocabulary.txt").write_text("".join(f"{ngram}\n" for ngram in chosen), encoding="utf-8")
    pairs = np.array(list(chosen.values()), dtype=np.float32).reshape(-1, 2)
    np.save(directory / "idf.npy", pairs[:, 0])
    np.save(directory / "coefficients.npy", pairs[:, 1])
    return directory


def decision(engine: LabEngine, text: str) -> float:
    """Return z, the difference of a text's two logits."""
    ((negative, positive),) = engine.infer_texts([text]).tolist()
    assert positive == -negative
    return float(positive - negative)


def by_hand(counts: dict[str, int]) -> float:
    """Return z for n-gram counts, by the formula."""
    values = {ngram: (1 + math.log(count)) * WEIGHTS[ngram][0] for ngram, count in counts.items()}
    length = math.sqrt(sum(value**2 for value in values.values()))
    return 0.25 + sum(value * WEIGHTS[ngram][1] for ngram, value in values.items()) / length


@pytest.fixture
def engine(tmp_path: Path) -> LabEngine:
    """The engine on the model of a few n-grams."""
    return LabEngine.load(write_lab(tmp_path))


def test_logits_follow_the_formula(engine: LabEngine) -> None:
    """If this fails, counts, idf, length or intercept enter the score in a wrong way."""
    assert decision(engine, "good good !") == pytest.approx(by_hand({"good": 2, "!": 1}), abs=1e-6)


def test_raw_counts_where_the_config_says_so(tmp_path: Path) -> None:
    """If this fails, `sublinear_tf` of the config is not what decides."""
    engine = LabEngine.load(write_lab(tmp_path, sublinear_tf=False))
    expected = 0.25 + (4.0 * 3.0 + 1.5 * 0.5) / math.hypot(4.0, 1.5)
    assert decision(engine, "good good !") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["don't good", "do n't good", "DON'T GOOD", "Don't  …good…"])
def test_words_are_read_alike_however_they_are_written(engine: LabEngine, text: str) -> None:
    """If this fails, contractions, capitals or the signs between words change what is understood."""
    counts = {"do": 1, "n't": 1, "good": 1, "do n't": 1, "n't good": 1}
    assert decision(engine, text) == pytest.approx(by_hand(counts), abs=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "\n", "unheard of", "😍", "東京", "é", "İ", "ß", "Σ"])
def test_a_text_without_known_words_gets_the_intercept(engine: LabEngine, text: str) -> None:
    """If this fails, an empty or foreign text crashes or divides by zero instead of giving the prior."""
    assert decision(engine, text) == pytest.approx(0.25, abs=1e-6)


def test_accents_and_emoji_end_a_word(engine: LabEngine) -> None:
    """If this fails, the pattern is no longer the ASCII one that the model was trained with."""
    assert decision(engine, "café") == pytest.approx(by_hand({"caf": 1}), abs=1e-6)
    assert decision(engine, "good😍good") == pytest.approx(by_hand({"good": 2}), abs=1e-6)


def test_a_batch_gives_what_its_texts_give_alone(engine: LabEngine) -> None:
    """If this fails, neighbours in a batch change a text's answer."""
    texts = ["good!", "", "don't", "good good", "café 😍"]
    batch = engine.infer_texts(texts)
    assert batch.shape == (5, 2)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, np.concatenate([engine.infer_texts([text]) for text in texts]))


def test_no_texts_give_no_rows(engine: LabEngine) -> None:
    """If this fails, an empty batch crashes the engine."""
    assert engine.infer_texts([]).shape == (0, 2)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.txt", "idf.npy", "coefficients.npy"])
def test_a_missing_or_broken_file_is_named(tmp_path: Path, name: str) -> None:
    """If this fails, a damaged directory ends in a traceback instead of a line that says which file."""
    write_lab(tmp_path)
    (tmp_path / name).write_bytes(b"\xff{broken")
    with pytest.raises(ModelError, match=name):
        LabEngine.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=name):
        LabEngine.load(tmp_path)


def test_a_vocabulary_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    """If this fails, a half-copied vocabulary shifts or loses words in silence."""
    write_lab(tmp_path)
    (tmp_path / "vocabulary.txt").write_text("!\ncaf", encoding="utf-8")
    with pytest.raises(ModelError, match="cut short"):
        LabEngine.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("idf.npy", np.ones(len(WEIGHTS) - 1, dtype=np.float32)),
        ("idf.npy", np.ones((len(WEIGHTS), 1), dtype=np.float32)),
        ("coefficients.npy", np.ones(len(WEIGHTS), dtype=np.float64)),
        ("coefficients.npy", np.full(len(WEIGHTS), np.nan, dtype=np.float32)),
    ],
    ids=["short", "wrong shape", "wrong type", "not finite"],
)
def test_arrays_that_do_not_fit_the_vocabulary_are_refused(
    tmp_path: Path, name: str, array: np.ndarray[Any, Any]
) -> None:
    """If this fails, words are scored with the weights of others."""
    write_lab(tmp_path)
    np.save(tmp_path / name, array)
    with pytest.raises(ModelError, match=name.removesuffix(".npy")):
        LabEngine.load(tmp_path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    """If this fails, loading a model can run code that someone put into its files."""
    write_lab(tmp_path)
    np.save(tmp_path / "idf.npy", np.array([print] * len(WEIGHTS), dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match=r"idf\.npy"):
        LabEngine.load(tmp_path)


def test_an_ngram_named_twice_is_refused(tmp_path: Path) -> None:
    """If this fails, one of two contradicting weights wins in silence."""
    write_lab(tmp_path)
    (tmp_path / "vocabulary.txt").write_text("good\n" * len(WEIGHTS), encoding="utf-8")
    with pytest.raises(ModelError, match="twice"):
        LabEngine.load(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"token_pattern": "("},
        {"token_pattern": "(a)(b)"},
        {"token_pattern": None},
        {"ngram_range": [2, 1]},
        {"ngram_range": [0, 1]},
        {"ngram_range": "12x"},
        {"intercept": math.inf},
        {"lowercase": False},
        {"id2label": {"0": "A", "1": "B", "2": "C"}},
    ],
    ids=str,
)
def test_a_config_that_the_engine_cannot_follow_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    """If this fails, a text is read otherwise than the config says."""
    with pytest.raises(ModelError, match=r"config\.json"):
        LabEngine.load(write_lab(tmp_path, **config))


def test_the_committed_model_gives_its_golden_scores(request: pytest.FixtureRequest) -> None:
    """If this fails, models/lab is damaged or the engine no longer reads it as it was trained."""
    classifier = load_classifier(request.config.rootpath / COMMITTED, variant="lab-fp32", threads=1)
    assert classifier.info.labels == ("NEGATIVE", "POSITIVE")
    assert classifier.info.max_length is None
    classifier.close()
