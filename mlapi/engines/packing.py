"""Where the tokens of a batch lie once the padding between them is left out.

A batch of texts is a rectangle of texts x positions with holes. Packed, its tokens stand one after another,
text after text, in one row. `Packing` holds the indices from one form to the other. For the queries of an
attention the rectangle is narrower: nobody asks on behalf of padding, and the answer to a query does not
depend on how many others there are, as it does on the number of keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

ROW_STEP = 4
"""Fewest tokens by which the lengths of packed rows differ."""

STEPS_PER_OCTAVE = 8
"""Sizes between a power of two and the next: rounding up adds an eighth at most, 3 % in the mean."""

KEPT_TOKENS, KEPT_CALLS = 8, 8
"""Tokens that a row may be longer than needed to have the size of the last one, and for how many calls."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A padded batch, and how its tokens become a row and a rectangle again. All arrays are int64.

    Attributes:
        input_ids: Of shape (texts, positions), padded with `pad_id`.
        attention_mask: Of the same shape: 1 on tokens.
        tokens: Of shape (row,): the place in the flattened rectangle of each token; repeats the first at the
            end of a row that was rounded up.
        places: Of shape (texts * positions,): the place in the row of each place of the rectangle; 0 of
            padding.
        first: Of shape (texts,): the place in the row of each text's first token.
        asked: Of shape (texts, asked): of the rectangle of queries, what `places` is of the other.
        answered: Of shape (row,): what `tokens` is, in the flattened rectangle of queries.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    tokens: NDArray[np.int64]
    places: NDArray[np.int64]
    first: NDArray[np.int64]
    asked: NDArray[np.int64]
    answered: NDArray[np.int64]


def row_size(tokens: int) -> int:
    """Return the size of the row for so many tokens."""
    return rounded_up(tokens, ROW_STEP)


class KeptRow:
    """Sizes of rows, call after call: that of the call before where it is little more (ADR 29)."""

    def __init__(self) -> None:
        """There was no call yet."""
        self._size = self._calls = 0

    def size(self, tokens: int) -> int:
        """Return the size of the row for so many tokens."""
        needed = row_size(tokens)
        if needed < self._size <= tokens + KEPT_TOKENS and self._calls < KEPT_CALLS:
            self._calls += 1
        else:
            self._size, self._calls = needed, 0
        return self._size


def pack_batch(
    batch: Sequence[Sequence[int]],
    *,
    pad_id: int,
    multiple: int,
    size: Callable[[int], int] = row_size,
) -> Packing:
    """Lay a batch out in both forms.

    All four sizes are rounded up to a few dozen values, because a runtime prepares its kernels for each size
    that it meets. Texts that were added to that end are one padding token long and come last. An empty text
    counts as one padding token too, since it would have no first token otherwise.

    Args:
        batch: Token ids of each text, special tokens included; at least one text.
        pad_id: Token id to pad with.
        multiple: What the number of positions is rounded up to a multiple of, and no further: a model that
            takes so many may take no more.
        size: Gives the size of the row for a number of tokens.

    Raises:
        ValueError: The batch is empty.
    """
    if not batch:
        raise ValueError("the batch is empty")
    lengths = np.ones(rounded_up(len(batch), 1), dtype=np.int64)
    lengths[: len(batch)] = [max(1, len(ids)) for ids in batch]
    longest = int(lengths.max())
    positions = -(-longest // multiple) * multiple
    # For a text alone, kernels for ever other sizes cost more than they save.
    asked = min(positions, -(-longest // ROW_STEP) * ROW_STEP) if len(lengths) > 1 else positions
    input_ids = np.full((len(lengths), positions), pad_id, dtype=np.int64)
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
    mask = np.arange(positions) < lengths[:, None]
    held = np.flatnonzero(mask)
    tokens = np.full(size(len(held)), held[0], dtype=np.int64)
    tokens[: len(held)] = held
    places = np.zeros(mask.shape, dtype=np.int64)
    places[mask] = np.arange(len(held))
    first = np.cumsum(lengths) - lengths
    return Packing(
        input_ids,
        attention_mask=mask.astype(np.int64),
        tokens=tokens,
        places=places.ravel(),
        first=first,
        asked=np.ascontiguousarray(places[:, :asked]),
        answered=tokens - tokens // positions * (positions - asked),
    )


def rounded_up(size: int, least: int) -> int:
    """Round up to a multiple of `least`, a power of two, that is one of the eighths of an octave.

    Args:
        size: A positive number.
        least: Smallest step.
    """
    step = max(least, (1 << (size.bit_length() - 1)) // STEPS_PER_OCTAVE)
    return -(-size // step) * step
