"""Sets of texts for calibration and gate, without a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mlapi.training.labelled import TextSet

if TYPE_CHECKING:
    from collections.abc import Sequence


def text_set(name: str, texts: Sequence[str], labels: Sequence[int] | None = None) -> TextSet:
    """Make a set, labelled or not; empty texts are left out, as no file can have them."""
    rows = [(text, None if labels is None else (labels[row],)) for row, text in enumerate(texts) if text]
    return TextSet(
        name=f"{name}.tsv",
        texts=tuple(text for text, _ in rows),
        labels=tuple(label for _, label in rows),
        sha256=hashlib.sha256(repr(rows).encode()).hexdigest(),
    )
