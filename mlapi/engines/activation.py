"""From logits to probabilities, in one place for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlapi.types import Activation


def activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Apply the model's activation to each row.

    Args:
        logits: Shape (texts, labels), finite.
        activation: `softmax`, which subtracts each row's maximum first so that no exponential overflows, or
            `sigmoid`, through tanh for the same reason.

    Returns:
        Probabilities of the same shape, computed in float64 and rounded to float32.
    """
    wide = logits.astype(np.float64)
    if activation == "softmax":
        wide -= wide.max(axis=1, keepdims=True)
        np.exp(wide, out=wide)
        wide /= wide.sum(axis=1, keepdims=True)
    else:
        wide = 0.5 * (1.0 + np.tanh(0.5 * wide))
    return wide.astype(np.float32)
