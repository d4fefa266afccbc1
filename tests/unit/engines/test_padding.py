from __future__ import annotations

import numpy as np
import pytest

from mlapi.engines.padding import pad_batch


def test_shorter_texts_are_padded_on_the_right() -> None:
    """If it fails, positions of short texts shift, and their answers depend on the batch they are in."""
    input_ids, attention_mask = pad_batch([[5, 6, 7], [8], [9, 10]], pad_id=3)
    np.testing.assert_array_equal(input_ids, [[5, 6, 7], [8, 3, 3], [9, 10, 3]])
    np.testing.assert_array_equal(attention_mask, [[1, 1, 1], [1, 0, 0], [1, 1, 0]])


def test_width_is_the_longest_text_and_no_more() -> None:
    """If it fails, short batches pay for tokens that nobody sent."""
    assert pad_batch([[1, 2]], pad_id=0)[0].shape == (1, 2)
    assert pad_batch([[1], [1, 2, 3, 4]], pad_id=0)[0].shape == (2, 4)


def test_padding_id_inside_a_text_stays_visible() -> None:
    """If it fails, the mask is guessed from the ids, and a text that holds the padding id loses tokens."""
    _, attention_mask = pad_batch([[7, 0, 8], [0]], pad_id=0)
    np.testing.assert_array_equal(attention_mask, [[1, 1, 1], [1, 0, 0]])


def test_arrays_are_int64() -> None:
    """If it fails, ONNX Runtime refuses the batch: the graphs take int64."""
    input_ids, attention_mask = pad_batch([[1]], pad_id=0)
    assert input_ids.dtype == np.int64
    assert attention_mask.dtype == np.int64


def test_empty_text_is_all_padding() -> None:
    """If it fails, a tokenizer without special tokens breaks the whole batch with one empty text."""
    input_ids, attention_mask = pad_batch([[], [4, 5]], pad_id=9)
    np.testing.assert_array_equal(input_ids, [[9, 9], [4, 5]])
    np.testing.assert_array_equal(attention_mask, [[0, 0], [1, 1]])


def test_empty_batch_is_refused() -> None:
    """If it fails, a batch without texts reaches an engine as an array that no model takes."""
    with pytest.raises(ValueError, match="empty"):
        pad_batch([], pad_id=0)


@pytest.mark.parametrize(("longest", "width"), [(1, 16), (16, 16), (17, 32)])
def test_width_is_rounded_up_to_a_multiple_where_asked(longest: int, width: int) -> None:
    """If it fails, an engine that needs whole blocks to answer alike lets a score depend on its batch."""
    input_ids, attention_mask = pad_batch([[7] * longest, [7]], pad_id=3, multiple=16)
    assert input_ids.shape == attention_mask.shape == (2, width)
    assert attention_mask.sum(axis=1).tolist() == [longest, 1]
