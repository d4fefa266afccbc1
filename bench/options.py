"""Arguments of commands, as their parser takes them."""

from __future__ import annotations

import math


def positive(text: str) -> int:
    """Read a number that is at least 1.

    Raises:
        ValueError: It is something else.
    """
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def positive_seconds(text: str) -> float:
    """Read a finite time above 0.

    Raises:
        ValueError: It is something else.
    """
    if not 0 < (number := float(text)) < math.inf:
        raise ValueError(text)
    return number
