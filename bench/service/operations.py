"""How many operations the matrix products of a DistilBERT classifier take.

A multiplication and an addition are two. Per token and layer there are four projections of width x width and
two of width x hidden, and attention multiplies twice (scores, values) by all tokens of the text; per text
there are the two layers of the head. (Sanh et al. 2019; Vaswani et al. 2017, section 3.) In the last layer
only the first token's attention and what follows it is computed (docs/adr/0022).
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
    before = 3 * size.width**2  # queries, keys and values
    after = 2 * size.width * tokens + size.width**2 + 2 * size.width * size.hidden
    whole = (size.layers - 1) * tokens * (before + after)
    last = tokens * before + after
    head = size.width**2 + size.width * labels
    return 2 * texts * (whole + last + head)
