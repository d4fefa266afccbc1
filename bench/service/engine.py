"""What is inside the service, bare: the engine on batches of token ids, the tokeniser on single texts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlapi.engines.factory import TOKENIZER, load_classifier
from mlapi.engines.tokenizer import FastTokenizer
from mlapi.huge_pages import use_huge_pages
from mlapi.models.directory import ModelDirectory
from mlapi.types import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Batch = list[list[int]]
"""Token ids of each text, special tokens included."""


def make_engine(directory: Path, threads: int) -> Callable[[Sequence[Batch]], float]:
    """Load the model as the service does; return what runs batches and tells the seconds that they took."""
    classifier = load_classifier(directory, threads=threads)
    use_huge_pages()

    def run(batches: Sequence[Batch]) -> float:
        prepared = [
            [Encoding(payload=ids, length=len(ids), truncated=False) for ids in batch] for batch in batches
        ]
        started = time.perf_counter()
        for batch in prepared:
            classifier.logits(batch)
        return time.perf_counter() - started

    return run


def make_tokenizer(directory: Path) -> Callable[[Sequence[str]], float]:
    """Load the tokeniser; return what encodes texts one by one and tells the CPU seconds that it took."""
    encode = load_tokenizer(directory).encode

    def run(texts: Sequence[str]) -> float:
        started = time.process_time()
        for text in texts:
            encode([text])
        return time.process_time() - started

    return run


def token_ids(directory: Path, texts: Sequence[str]) -> Batch:
    """Return the token ids of each text, in order."""
    return [list(encoding.payload) for encoding in load_tokenizer(directory).encode(texts)]  # type: ignore[arg-type]


def sorted_batches(rows: Batch, *, max_tokens: int, max_texts: int) -> list[Batch]:
    """Sort by length and cut into the fewest batches within a budget.

    Args:
        rows: Token ids of each text.
        max_tokens: Most padded tokens of a batch: its longest row times its rows. A longer row stands alone.
        max_texts: Most rows of a batch.
    """
    batches: list[Batch] = []
    for row in sorted(rows, key=len):
        batch = batches[-1] if batches else []
        if not batch or len(batch) == max_texts or len(row) * (len(batch) + 1) > max_tokens:
            batch = []
            batches.append(batch)
        batch.append(row)
    return batches


def load_tokenizer(directory: Path) -> FastTokenizer:
    """Load the tokeniser of a model that reads token ids.

    Raises:
        ValueError: The model reads none.
    """
    longest = ModelDirectory.open(directory).manifest.max_length
    if longest is None:
        raise ValueError(f"{directory} has no max_length, so its model reads no token ids")
    return FastTokenizer(directory / TOKENIZER, max_length=longest)
