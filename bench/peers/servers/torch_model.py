"""The model on torch, for servers that bring batches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Label = dict[str, str | float]


class TorchModel:
    """Tokenizer and model; called from one thread."""

    def __init__(self, folder: Path) -> None:
        """Load them, and use all cores that this process may use.

        Args:
            folder: As transformers reads it.
        """
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self._tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        self._names: dict[int, str] = self._model.config.id2label

    def __call__(self, texts: Sequence[str]) -> list[list[Label]]:
        """Return all labels of each text, from one batch padded to its longest text."""
        batch = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            rows = self._model(**batch).logits.softmax(-1).tolist()
        return [
            [{"label": self._names[index], "score": score} for index, score in enumerate(row)] for row in rows
        ]
