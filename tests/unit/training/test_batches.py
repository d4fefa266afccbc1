"""Batches of similar length, decided by seed and epoch."""

from __future__ import annotations

import numpy as np

from mlapi.training.batches import epoch_batches

LENGTHS = np.random.default_rng(0).integers(2, 50, 1_037).tolist()


def test_every_text_is_dealt_once() -> None:
    """If this fails, texts are left out of an epoch or seen twice in it."""
    batches = epoch_batches(LENGTHS, size=16, seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(LENGTHS)))
    assert max(len(batch) for batch in batches) == 16


def test_seed_and_epoch_alone_decide() -> None:
    """If this fails, a resumed run sees other texts than the one that was killed, or all epochs are alike."""

    def dealt(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_batches(LENGTHS, size=16, seed=seed, epoch=epoch)]

    assert dealt(1, 0) == dealt(1, 0)
    assert dealt(1, 0) != dealt(1, 1)
    assert dealt(1, 0) != dealt(2, 0)
    assert len(dealt(1, 0)) == len(dealt(2, 7))


def test_little_is_spent_on_padding() -> None:
    """If this fails, batches mix short and long texts and training takes several times as long."""
    batches = epoch_batches(LENGTHS, size=16, seed=1, epoch=0)
    padded = sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in batches)
    assert padded < 1.15 * sum(LENGTHS)
