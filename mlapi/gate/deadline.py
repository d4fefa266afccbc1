"""One deadline for several processes that run one after the other on one machine, shared through a file."""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 64
"""More than a number takes."""


class Deadline:
    """The moment after which nobody waits any more, on the clock that all processes of one kernel share."""

    def __init__(self, end: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the moment.

        Args:
            end: On the clock.
            clock: Seconds from any start. Not the time of day, which is set now and then.
        """
        self.end = end
        self._clock = clock

    def left(self) -> float:
        """Return the seconds until then, 0 once it has passed."""
        return max(0.0, self.end - self._clock())


def begin(timeout_s: float, file: Path | None, *, clock: Callable[[], float] = time.monotonic) -> Deadline:
    """Start the time, and write its end down for those who come after.

    Args:
        timeout_s: Seconds from now.
        file: Where to write it, in place of what an earlier start left there; None for nowhere. A file that
            cannot be written is a line in the log: then everyone takes the whole time.
        clock: As in `Deadline`.
    """
    deadline = Deadline(clock() + timeout_s, clock=clock)
    if file is not None:
        try:
            fresh = file.with_name(f"{file.name}.{os.getpid()}")  # a ValueError for a path without a name
            fresh.write_text(f"{deadline.end!r}\n", encoding="ascii")
            fresh.replace(file)  # never half of a number
        except (OSError, ValueError) as error:
            logger.warning(
                "MLAPI_WAIT_DEADLINE_FILE: %s cannot be written (%s); the next wait starts anew",
                file,
                type(error).__name__,
            )
    return deadline


def join(timeout_s: float, file: Path | None, *, clock: Callable[[], float] = time.monotonic) -> Deadline:
    """Go on with the time that another process started.

    Args:
        timeout_s: Seconds from now where there is no file or nothing to be read in it. No deadline is later:
            one that is was left over from before the machine started.
        file: Where `begin` wrote it.
        clock: As in `Deadline`.
    """
    latest = clock() + timeout_s
    if file is None:
        return Deadline(latest, clock=clock)
    try:
        with file.open("rb") as opened:
            end = float(opened.read(MAX_BYTES))
    except (OSError, ValueError) as error:
        logger.info("no deadline in %s (%s): waiting for %g s", file, type(error).__name__, timeout_s)
        return Deadline(latest, clock=clock)
    return Deadline(latest if math.isnan(end) else min(end, latest), clock=clock)
