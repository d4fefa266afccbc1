"""Padding of a batch of token ids to one rectangle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def pad_batch(
    batch: Sequence[Sequence[int]], *, pad_id: int, multiple: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad on the right to the longest sequence.

    Args:
        batch: Token ids of each text, special tokens included; at least one text.
        pad_id: Token id to pad with.
        multiple: What the padded length is rounded up to a multiple of.

    Returns:
        `input_ids` and `attention_mask`, both int64 of shape (len(batch), padded length); the mask is 1 on
        tokens.
    """
    width = -(-max(len(ids) for ids in batch) // multiple) * multiple
    input_ids = np.full((len(batch), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(batch), width), dtype=np.int64)
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask
