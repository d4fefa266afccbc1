"""How many operations the matrix products of a DistilBERT classifier take.

A multiplication and an addition are two. Per token and layer there are four projections of width x width and
two of width x hidden, and attention multiplies twice (scores, values) by all tokens of the text; per text
there are the two layers of the head. (Sanh et al. 2019; Vaswani et al. 2017, section 3.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.model import Size

GIGA = 1e9


def operations(size: Size, *, texts: int, tokens: int, labels: int = 2) -> int:
    """Return the operations of a batch.

    Args:
        size: Of the model.
        texts: Rows.
        tokens: Tokens of each.
        labels: Outputs of the head.
    """
    linear = 2 * size.layers * (4 * size.width**2 + 2 * size.width * size.hidden)
    attention = 2 * size.layers * 2 * size.width * tokens
    head = 2 * (size.width**2 + size.width * labels)
    return texts * (tokens * (linear + attention) + head)
