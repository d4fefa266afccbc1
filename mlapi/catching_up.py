"""Gives the event loop its turns between two batches (ADR 24)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_TURNS = 4
"""Turns of the event loop without another text in line after which all that had arrived is in line. It takes
two from a readable socket to the handler, and the answers that were just given are written in the first."""

LOOKUP_PAUSE_S = 0.0002
"""How long a turn waits while only lookups in a far cache and texts in a tokeniser's thread are missing."""


async def catch_up(
    seconds: float, *, waiting: Callable[[], int], coming: Callable[[], int], full: Callable[[], bool]
) -> None:
    """Let the event loop hand out answers and read what came, which joins the next batch.

    Who was just answered and asks again is in it then, and the event loop takes no core from that call.

    Args:
        seconds: After which it gets no further turn.
        waiting: How many texts are in line.
        coming: How many are being looked up or tokenised.
        full: Whether there is enough in line for a batch.
    """
    end = time.monotonic() + seconds
    quiet, now = 0, waiting()
    while (quiet < QUIET_TURNS or coming()) and not full():
        if time.monotonic() >= end:
            return
        await asyncio.sleep(0 if quiet < QUIET_TURNS else LOOKUP_PAUSE_S)
        before, now = now, waiting()
        quiet = quiet + 1 if now == before else 0
