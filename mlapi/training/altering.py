"""Altering training texts, so that a teacher can be asked about texts that nobody labelled.

Phrases of reviews hold little of what makes everyday sentences hard: one half against the other, and what is
denied. So besides cutting and hiding words, texts are joined and denied. What such a text says is for the
teacher to tell; its recorded label no longer counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlapi.training.vocabulary import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.training.recipe import Distillation

UNLABELLED = -100
"""The label of an altered text: what cross-entropy skips."""

JOINTS = (" , but ", " and ", " . ", " , although ", " , yet ", " ; ", ", even though ", ". still, ")
DENIALS = (
    "not ",
    "it is not ",
    "this isn't ",
    "i would not call it ",
    "never ",
    "hardly ",
    "i don't think it is ",
    "far from ",
)


def altered_texts(
    texts: Sequence[str], labels: Sequence[int], settings: Distillation, *, seed: int, epoch: int
) -> tuple[list[str], list[int]]:
    """Alter a share of the texts, drawn anew for each epoch.

    Args:
        texts: The training texts.
        labels: Their label ids.
        settings: How many are altered.
        seed: With `epoch`, decides everything.
        epoch: Number of the epoch.

    Returns:
        As many texts, and their label ids: `UNLABELLED` for those that were altered.
    """
    generator = np.random.default_rng((seed, epoch))
    chosen = generator.random(len(texts)) < settings.altered
    new_texts, new_labels = list(texts), list(labels)
    for row in np.flatnonzero(chosen).tolist():
        new_texts[row] = _altered(texts, row, settings, generator)
        new_labels[row] = UNLABELLED
    return new_texts, new_labels


def _altered(texts: Sequence[str], row: int, settings: Distillation, generator: np.random.Generator) -> str:
    words = texts[row].split()
    kind = generator.integers(4)
    if kind == 0:
        other = texts[int(generator.integers(len(texts)))]
        return f"{texts[row]}{JOINTS[generator.integers(len(JOINTS))]}{other}"
    if kind == 1:
        hidden = generator.random(len(words)) < settings.masked_words
        return " ".join(MASK if hide else word for word, hide in zip(words, hidden, strict=True))
    span = _span(words, generator)
    return span if kind == 2 else DENIALS[generator.integers(len(DENIALS))] + span  # noqa: PLR2004 - the third


def _span(words: list[str], generator: np.random.Generator) -> str:
    length = int(generator.integers(1, len(words) + 1))
    start = int(generator.integers(len(words) - length + 1))
    return " ".join(words[start : start + length])
