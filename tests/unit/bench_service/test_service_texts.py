"""The texts, batches and operations that the measurements are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.load.result import Load
from bench.model import SIZES, Size, make_tokenizer
from bench.service.bench import Bench
from bench.service.engine import sorted_batches
from bench.service.operations import operations
from bench.service.traffic import LostRequestsError, Traffic, all_answered, shifted

if TYPE_CHECKING:
    from pathlib import Path


def _traffic(directory: Path, texts: Path | None = None) -> Traffic:
    return Traffic(
        Bench(
            directory=directory,
            size=SIZES["tiny"],
            threads=1,
            rounds=1,
            seconds=1.0,
            seed_seconds=1.0,
            texts=texts,
        )
    )


def test_no_call_returns_a_text_of_another(tmp_path: Path) -> None:
    """If this fails, texts that should be new come from the cache, and speed is overstated."""
    traffic = _traffic(tmp_path)
    made = [*traffic.texts(20, 200), *traffic.texts(20, 200), *traffic.texts((10, 30), 200)]
    assert len(set(made)) == 600


def test_texts_have_the_tokens_that_they_should_have(tmp_path: Path) -> None:
    """If this fails, rows of a table are about other lengths than they say."""
    tokenizer = make_tokenizer(SIZES["tiny"])
    for text in _traffic(tmp_path).texts(20, 5):
        assert len(tokenizer.encode(text).ids) == 20


def test_sentences_stay_as_long_and_become_others(tmp_path: Path) -> None:
    """If this fails, bulk requests are answered from the cache, or each round measures other lengths."""
    file = tmp_path / "sentences.tsv"
    file.write_text("sentence\tlabel\nA warm, funny film.\t1\nDull\t0\nDull\t0\n", encoding="utf-8")
    traffic = _traffic(tmp_path, file)
    first, second = traffic.sentences(4), traffic.sentences(4)
    assert len({*first, *second}) == 8
    assert [len(text.split()) for text in first] == [6, 1, 6, 1]
    assert [len(text.split()) for text in second] == [6, 1, 6, 1]
    with pytest.raises(ValueError, match="2 sentences do not make so many texts"):
        traffic.sentences(1000)


def test_sentences_are_made_up_without_a_file(tmp_path: Path) -> None:
    """If this fails, a bench without --texts has nothing to send, or sends it twice."""
    traffic = _traffic(tmp_path)
    made = [*traffic.sentences(300), *traffic.sentences(1200)]
    assert len(set(made)) == 1500
    assert 10 < sum(len(text.split()) for text in made) / len(made) < 40


def test_a_shift_comes_around() -> None:
    """If this fails, shifted sentences hold words that the model does not know, and so fall into letters."""
    assert shifted("w200 w599", 1, vocabulary=600) == "w201 w200"
    assert shifted("w200 w599", 400, vocabulary=600) == "w200 w599"


def test_lost_requests_end_a_measurement() -> None:
    """If this fails, a server that refuses most requests looks fast."""
    fine = Load(completed=3, statuses={200: 3})
    assert all_answered(fine) is fine
    for load in (Load(completed=3, statuses={200: 3, 503: 1}), Load(completed=1, dropped=1), Load()):
        with pytest.raises(LostRequestsError):
            all_answered(load)


def test_batches_are_sorted_and_within_the_budget() -> None:
    """If this fails, the bare engine gets worse batches than the service, and is too easy to beat."""
    rows = [[0] * length for length in (5, 1, 9, 2, 2, 30, 3)]
    batches = sorted_batches(rows, max_tokens=10, max_texts=3)
    assert [[len(row) for row in batch] for batch in batches] == [[1, 2, 2], [3, 5], [9], [30]]
    assert sorted_batches([], max_tokens=10, max_texts=3) == []


def test_operations_are_counted_by_hand() -> None:
    """If this fails, the share of the ceiling that is reached is a number about another model."""
    size = Size(layers=2, width=3, heads=1, hidden=5, vocabulary=600)
    # A layer has 4 * 9 + 2 * 15 = 66 weights; attention is 2 products of 3 x 7 for each token. The last layer
    # has all 7 tokens in 3 * 9 of the weights alone, and the first one in the other 39 and in attention.
    first_layer = 7 * (66 + 2 * 3 * 7)
    last_layer = 7 * 27 + 39 + 2 * 3 * 7
    head = 9 + 3 * 2
    assert operations(size, texts=4, tokens=7) == 2 * 4 * (first_layer + last_layer + head)
    full = operations(SIZES["full"], texts=1, tokens=128)
    assert full == pytest.approx(11.2e9 * (5 + 1 / 4) / 6, rel=0.02)
