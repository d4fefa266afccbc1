from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlapi.engines.packing import KEPT_CALLS, KEPT_TOKENS, ROW_STEP, KeptRow, pack_batch, rounded_up
from mlapi.engines.padding import pad_batch

BATCHES = st.lists(
    st.lists(st.integers(1, 30_000), min_size=1, max_size=70).map(tuple), min_size=1, max_size=40
)


@given(BATCHES)
def test_tokens_and_places_lead_to_each_other(batch: list[tuple[int, ...]]) -> None:
    """If it fails, a token's numbers come back to another token, or to another text."""
    packing = pack_batch(batch, pad_id=0, multiple=16)
    flat = packing.attention_mask.ravel().astype(bool)
    held = int(flat.sum())
    np.testing.assert_array_equal(packing.tokens[:held], np.flatnonzero(flat))
    np.testing.assert_array_equal(packing.places[packing.tokens[:held]], np.arange(held))
    assert (packing.places[~flat] == 0).all()
    # Through the row and back, each token of each text is what it was.
    row = packing.input_ids.ravel()[packing.tokens]
    back = row[packing.places].reshape(packing.input_ids.shape)
    for text, ids in enumerate(batch):
        assert tuple(back[text, : len(ids)].tolist()) == ids


@given(BATCHES)
def test_first_is_each_texts_first_token(batch: list[tuple[int, ...]]) -> None:
    """If it fails, a text is answered by another token than its first, or by another text's."""
    packing = pack_batch(batch, pad_id=0, multiple=16)
    row = packing.input_ids.ravel()[packing.tokens]
    assert row[packing.first][: len(batch)].tolist() == [ids[0] for ids in batch]
    positions = packing.input_ids.shape[1]
    np.testing.assert_array_equal(packing.tokens[packing.first] // positions, np.arange(len(packing.first)))
    assert (packing.tokens[packing.first] % positions == 0).all()


@given(BATCHES)
def test_what_is_asked_and_answered_leads_to_the_same_tokens(batch: list[tuple[int, ...]]) -> None:
    """If it fails, an attention's answer goes to another token than the one that asked."""
    packing = pack_batch(batch, pad_id=0, multiple=16)
    texts, positions = packing.input_ids.shape
    places = packing.places.reshape(texts, positions)
    asked = packing.asked.shape[1]
    np.testing.assert_array_equal(packing.asked, places[:, :asked])
    rectangle = packing.input_ids[:, :asked]
    np.testing.assert_array_equal(
        rectangle.ravel()[packing.answered], packing.input_ids.ravel()[packing.tokens]
    )
    assert packing.asked.flags.c_contiguous, "a runtime reads it in place"
    assert (packing.input_ids[:, asked:] == 0).all()
    assert packing.attention_mask[:, asked:].sum() == 0


@pytest.mark.parametrize(
    ("lengths", "asked"),
    [([20, 3], 20), ([17, 3], 20), ([1, 1], 4), ([16, 9], 16), ([29, 30], 32), ([20], 32), ([3], 16)],
)
def test_no_more_is_asked_than_the_longest_text_needs(lengths: list[int], asked: int) -> None:
    """If it fails, attention answers padding; or a text alone meets sizes that no kernel is prepared for."""
    packing = pack_batch([[7] * length for length in lengths], pad_id=0, multiple=16)
    assert packing.asked.shape == (len(lengths), asked)


def test_a_model_of_few_positions_is_asked_for_no_more() -> None:
    """If it fails, its longest text has more queries than positions."""
    assert pack_batch([[7] * 6, [7]], pad_id=0, multiple=2).asked.shape == (2, 6)


@given(BATCHES)
def test_the_rectangle_is_what_padding_makes_of_it(batch: list[tuple[int, ...]]) -> None:
    """If it fails, attention sees something else than it would see with padding."""
    packing = pack_batch(batch, pad_id=9, multiple=16)
    input_ids, attention_mask = pad_batch(batch, pad_id=9, multiple=16)
    np.testing.assert_array_equal(packing.input_ids[: len(batch)], input_ids)
    np.testing.assert_array_equal(packing.attention_mask[: len(batch)], attention_mask)


@pytest.mark.parametrize(("texts", "rounded"), [(1, 1), (16, 16), (17, 18), (33, 36), (63, 64)])
def test_added_texts_come_last_and_are_one_token_long(texts: int, rounded: int) -> None:
    """If it fails, rounding up the number of texts costs more than it need, or disturbs those sent."""
    batch = [[7] * (1 + text % 5) for text in range(texts)]
    packing = pack_batch(batch, pad_id=9, multiple=16)
    added = packing.attention_mask[len(batch) :]
    assert len(packing.first) == len(packing.input_ids) == rounded
    assert packing.first[texts:].tolist() == [*range(sum(map(len, batch)), packing.attention_mask.sum())]
    assert (added[:, 0] == 1).all()
    assert (added[:, 1:] == 0).all()
    assert (packing.input_ids[len(batch) :] == 9).all()


@given(BATCHES)
def test_the_end_of_the_row_repeats_a_token(batch: list[tuple[int, ...]]) -> None:
    """If it fails, a row that was rounded up reads outside the batch, or sizes are not rounded at all."""
    packing = pack_batch(batch, pad_id=0, multiple=16)
    held = int(packing.attention_mask.sum())
    assert len(packing.tokens) == rounded_up(held, ROW_STEP)
    assert set(packing.tokens[held:].tolist()) <= {0}
    assert len(packing.answered) == len(packing.tokens)
    for field in fields(packing):
        assert getattr(packing, field.name).dtype == np.int64


@pytest.mark.parametrize(
    ("last", "row"),
    [(17, 20), (18, 20), (24, 24), (18 + KEPT_TOKENS, 20), (16, 20)],
)
def test_a_row_keeps_the_size_of_the_last_where_that_is_little_more(last: int, row: int) -> None:
    """If it fails, each text of another length has kernels looked up anew, or costs what a long one does."""
    kept = KeptRow()
    kept.size(last)
    packing = pack_batch([[7] * 18], pad_id=0, multiple=16, size=kept.size)
    assert packing.tokens.tolist() == [*range(18), *[0] * (row - 18)]


def test_no_row_keeps_a_size_that_nothing_needs_any_more() -> None:
    """If it fails, one longer text makes all that follow cost as much."""
    kept = KeptRow()
    assert [kept.size(tokens) for tokens in (24, *[18] * (KEPT_CALLS + 2))] == [
        *[24] * (KEPT_CALLS + 1),
        20,
        20,
    ]


@given(st.integers(1, 100_000), st.sampled_from([1, 2, 8, 16]))
def test_sizes_are_rounded_up_to_eighths_of_an_octave(size: int, least: int) -> None:
    """If it fails, a runtime meets ever new sizes, or a batch is an eighth larger than it was."""
    rounded = rounded_up(size, least)
    assert rounded >= size
    assert rounded % least == 0
    assert rounded - size < max(least, size / 8)
    assert rounded_up(rounded, least) == rounded


def test_there_are_few_sizes() -> None:
    """If it fails, a runtime prepares kernels for more sizes than it keeps."""
    assert len({rounded_up(size, 1) for size in range(1, 65)}) == 32
    assert len({rounded_up(size, ROW_STEP) for size in range(1, 4097)}) <= 64
    assert [rounded_up(size, 1) for size in (15, 16, 17, 18, 33, 40, 63)] == [15, 16, 18, 18, 36, 40, 64]


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 257, 385, 399, 400])
def test_positions_are_rounded_to_the_multiple_alone(length: int) -> None:
    """If it fails, the longest text is padded beyond the positions that a model of 400 has, and fails."""
    packing = pack_batch([[7] * length, [7]], pad_id=0, multiple=16)
    assert packing.input_ids.shape == (2, -(-length // 16) * 16)


def test_lone_long_text_is_a_row_of_its_own_tokens() -> None:
    """If it fails, a single text does not take the way of a batch."""
    packing = pack_batch([list(range(1, 501))], pad_id=0, multiple=16)
    assert packing.input_ids.shape == packing.attention_mask.shape == (1, 512)
    np.testing.assert_array_equal(packing.tokens, [*range(500), *[0] * 12])
    np.testing.assert_array_equal(packing.places, [*range(500), *[0] * 12])
    assert packing.first.tolist() == [0]
    assert packing.attention_mask.sum() == 500


def test_empty_text_counts_as_one_padding_token() -> None:
    """If it fails, a text without tokens is answered with what belongs to its neighbour."""
    packing = pack_batch([[], [4, 5], []], pad_id=9, multiple=4)
    np.testing.assert_array_equal(packing.input_ids, [[9, 9, 9, 9], [4, 5, 9, 9], [9, 9, 9, 9]])
    np.testing.assert_array_equal(packing.attention_mask.sum(axis=1), [1, 2, 1])
    assert packing.first.tolist() == [0, 1, 3]


def test_empty_batch_is_refused() -> None:
    """If it fails, a batch without texts reaches an engine as arrays that no model takes."""
    with pytest.raises(ValueError, match="empty"):
        pack_batch([], pad_id=0, multiple=16)
