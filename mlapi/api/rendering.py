"""Predictions as JSON bytes.

Only labels and floats are written, so each prediction is put together from fragments that are made once per
model; for thousands of texts the event loop gets a turn after every thousand.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.types import Prediction, Probabilities

PREDICTIONS_AT_ONCE = 1_000


class Renderer:
    """Writes predictions with one model's label names."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Prepare the fragments; `labels` by label id."""
        self._heads = [f'{{"label":{json.dumps(label)},"score":' for label in labels]
        self._ids = range(len(labels))

    def single(self, prediction: Prediction) -> bytes:
        """Return the body for one text."""
        return f'{{"prediction":{self._ranking(prediction.probabilities)}}}'.encode()

    async def many(self, predictions: Sequence[Prediction]) -> bytes:
        """Return the body for any number of texts, in order."""
        parts: list[str] = []
        for start in range(0, len(predictions), PREDICTIONS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            chunk = predictions[start : start + PREDICTIONS_AT_ONCE]
            parts.append(",".join([self._ranking(prediction.probabilities) for prediction in chunk]))
        return f'{{"predictions":[{",".join(parts)}]}}'.encode()

    def _ranking(self, probabilities: Probabilities) -> str:
        """Return all labels, highest score first; of equal scores the lower label id comes first.

        A float's repr is the shortest decimal that reads back as the same number, and is valid JSON for the
        finite numbers that probabilities are.
        """
        order = sorted(self._ids, key=probabilities.__getitem__, reverse=True)
        items = ",".join([f"{self._heads[index]}{probabilities[index]!r}}}" for index in order])
        return f"[{items}]"
