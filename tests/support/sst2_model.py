"""What a directory with a classifier answers, by the service's tokenizer and torch: ids, scores, accuracy.

The directory holds `config.json`, `tokenizer.json` and `model.safetensors`: what a pull leaves, or a model
directory. It is run against the hub's default model by `tests/hub`, and against a local one by `tests/torch`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.tokenizer import FastTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BATCH = 32


def token_ids(directory: Path, text: str, *, max_length: int = 512) -> list[int]:
    """Return the ids of a text, special tokens included."""
    (encoding,) = FastTokenizer(directory / "tokenizer.json", max_length=max_length).encode([text])
    assert isinstance(encoding.payload, list)
    return encoding.payload


def logits(directory: Path, texts: Sequence[str], *, max_length: int = 512) -> NDArray[np.float32]:
    """Return torch's logits, one row a text, from batches of texts of similar length."""
    from mlapi.engines.torch import TorchEngine

    config = json.loads((directory / "config.json").read_bytes())
    engine = TorchEngine(directory, threads=2, pad_id=int(config.get("pad_token_id") or 0))
    encodings = FastTokenizer(directory / "tokenizer.json", max_length=max_length).encode(texts)
    order = sorted(range(len(texts)), key=lambda index: encodings[index].length)
    rows: dict[int, NDArray[np.float32]] = {}
    for begin in range(0, len(order), BATCH):
        batch = order[begin : begin + BATCH]
        ids = [payload for index in batch if isinstance(payload := encodings[index].payload, list)]
        rows.update(zip(batch, engine.infer(ids), strict=True))
    engine.close()
    return np.stack([rows[index] for index in range(len(texts))])


def best_labels(directory: Path, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Return the likeliest label of each text and its probability."""
    labels = json.loads((directory / "config.json").read_bytes())["id2label"]
    rows = logits(directory, texts).astype(np.float64)
    shares = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return [(labels[str(row.argmax())], float(row.max())) for row in shares]


def correct_on(directory: Path, dev: Path, *, max_length: int = 512) -> tuple[int, int]:
    """Count the right answers on a file of labelled texts; return them and how many texts there are."""
    from mlapi.training.data import read_dataset

    data = read_dataset(dev)
    answers = logits(directory, data.texts, max_length=max_length).argmax(axis=1)
    return int((answers == np.array(data.labels)).sum()), len(data.texts)
