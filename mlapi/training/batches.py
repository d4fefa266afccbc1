"""Batches of texts of similar length, in an order that the seed and the epoch alone decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POOL = 50
"""Batches drawn at random together, of which texts of one length then meet."""


def epoch_batches(lengths: Sequence[int], *, size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Deal all rows into batches, so that little is spent on padding and no two epochs are alike.

    Nothing but the arguments decides: a run that resumes in the middle of an epoch asks again and skips.

    Args:
        lengths: Tokens of each text.
        size: Texts a batch; the last one of a pool may be smaller.
        seed: The run's seed.
        epoch: Number of the epoch.

    Returns:
        Row numbers of each batch.
    """
    generator = np.random.default_rng((seed, epoch))
    measured = np.asarray(lengths)
    rows = generator.permutation(len(measured))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(rows), size * POOL):
        pool = rows[start : start + size * POOL]
        pool = pool[np.argsort(measured[pool], kind="stable")]
        batches.extend(pool[first : first + size] for first in range(0, len(pool), size))
    return [batches[place] for place in generator.permutation(len(batches))]
