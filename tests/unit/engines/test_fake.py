from __future__ import annotations

import threading

import numpy as np
import pytest

from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.ports import TokenEngine


def test_engine_is_a_token_engine() -> None:
    """If it fails, tests that use the fake prove nothing about real engines."""
    assert isinstance(FakeEngine(), TokenEngine)


def test_logits_depend_on_the_ids_alone() -> None:
    """If it fails, tests cannot tell by the answer whether a text got its own answer."""
    engine = FakeEngine(labels=3)
    batch = [[1, 5, 2], [1, 6, 2], [1, 5, 6, 2]]
    logits = engine.infer(batch)
    assert logits.shape == (3, 3)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(
        logits, np.concatenate([FakeEngine(labels=3).infer([ids]) for ids in batch])
    )
    assert len({tuple(row) for row in logits.tolist()}) == 3


def test_logits_spread_over_their_range() -> None:
    """If it fails, fake answers are all alike, and a test of their order passes by chance."""
    logits = FakeEngine().infer([[1, number, 2] for number in range(500)])
    assert -4 <= logits.min() < -3
    assert 3 < logits.max() <= 4


def test_every_batch_is_recorded_in_order() -> None:
    """If it fails, tests of batching look at the wrong batches."""
    engine = FakeEngine()
    engine.infer([[1, 2], [3]])
    engine.infer([[4]])
    assert engine.batches == [[(1, 2), (3,)], [(4,)]]


def test_chosen_ids_make_the_call_fail_after_it_was_recorded() -> None:
    """If it fails, tests of failing batches cannot provoke a failure, or cannot see the batch that failed."""
    engine = FakeEngine()
    engine.fail_on = {13}
    with pytest.raises(RuntimeError, match="told to fail"):
        engine.infer([[1], [13]])
    assert engine.batches == [[(1,), (13,)]]
    assert engine.infer([[1]]).shape == (1, 2)


def test_closed_gate_holds_calls_until_it_opens() -> None:
    """If it fails, tests cannot fill a queue behind a busy engine without sleeping."""
    engine = FakeEngine()
    engine.gate.clear()
    done = threading.Event()

    def call() -> None:
        engine.infer([[1]])
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert not done.is_set()
    engine.gate.set()
    thread.join(timeout=10)
    assert done.is_set()


def test_seconds_are_spent_in_the_call() -> None:
    """If it fails, a slow engine cannot be imitated. There is no upper bound, which load would break."""
    import time

    engine = FakeEngine(seconds=0.02)
    started = time.monotonic()
    engine.infer([[1]])
    assert time.monotonic() - started >= 0.02
    engine.close()


def test_tokenizer_gives_one_id_per_word() -> None:
    """If it fails, tests cannot say what a text costs or which id a word has."""
    tokenizer = FakeTokenizer()
    first, second = tokenizer.encode(["a good film", ""])
    assert first.payload == [1, *map(FakeTokenizer.token, ("a", "good", "film")), 2]
    assert (first.length, first.truncated) == (5, False)
    assert (second.payload, second.length, second.truncated) == ([1, 2], 2, False)
    assert tokenizer.calls == [2]


@pytest.mark.parametrize(("words", "length", "truncated"), [(2, 4, False), (3, 5, False), (4, 5, True)])
def test_tokenizer_truncates_like_the_real_one(words: int, length: int, *, truncated: bool) -> None:
    """If it fails, tests of X-Truncated pass with the fake and fail with a model."""
    (encoding,) = FakeTokenizer(max_length=5).encode(["word " * words])
    assert (encoding.length, len(encoding.payload), encoding.truncated) == (length, length, truncated)


def test_tokens_never_collide_with_special_ones() -> None:
    """If it fails, a word can look like the beginning or end of a text."""
    assert min(FakeTokenizer.token(str(number)) for number in range(1000)) >= 3
    assert FakeTokenizer.token("\ud800") >= 3  # a lone surrogate has no UTF-8 form
