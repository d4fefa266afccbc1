"""What is tried, one after the other, until an int8 graph passes the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlapi.training.graph import products_without_weights, weight_layers
from mlapi.training.sensitivity import probabilities, rank_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from mlapi.training.quantize import Quantizer

RANKING_TEXTS = 32
"""Calibration texts on which it is seen what is sensitive; never the gate's own."""

SHARES = (0.1, 0.25, 0.5)
"""Of the layers that are left in float32, the most sensitive ones; beyond half, int8 is hardly worth it."""

LARGEST_DROP = 0.01
"""What accuracy-aware control aims for: the mean deviation of a probability."""


def attempts(quantizer: Quantizer) -> Iterator[tuple[str | None, onnx.ModelProto]]:
    """Make int8 graphs, the fastest to run first; each is made when it is asked for.

    Yields:
        What was done beyond plain quantisation, and the graph.
    """
    plain = quantizer.quantized()
    yield None, plain
    yield "without SmoothQuant", quantizer.quantized(smooth=False)
    places = np.linspace(0, len(quantizer.feeds) - 1, num=min(RANKING_TEXTS, len(quantizer.feeds)))
    feeds = [quantizer.feeds[place] for place in places.round().astype(int).tolist()]
    reference = probabilities(quantizer.original, feeds)
    ranked = rank_layers(plain, feeds, reference)
    attention = products_without_weights(quantizer.original)  # in float32 in any case
    total = len(weight_layers(quantizer.original)) - len(attention)
    for count in sorted({max(1, round(share * len(ranked))) for share in SHARES}):
        kept = ranked[:count]
        yield (
            f"{count} of {total} layers in float32: {', '.join(kept)}",
            quantizer.quantized(keep=kept),
        )
    yield "accuracy-aware control", quantizer.controlled(feeds, reference, largest_drop=LARGEST_DROP)
