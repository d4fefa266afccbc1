"""Waits for one thing and says how it went: in the log, and in the termination message of the container."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from mlapi.gate.attempts import NotYet, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlapi.gate.deadline import Deadline

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 4_096
"""What Kubernetes keeps of a termination message."""


def wait_for(
    goal: str, attempt: Callable[[float], None], deadline: Deadline, *, termination_log: Path
) -> None:
    """Wait until an attempt succeeds or the deadline has passed; the caller goes on in either case.

    Args:
        goal: What shall be so, as a sentence that "until" can stand before. Without secrets.
        attempt: Raises `NotYet` while it is not so; called with the seconds that it may take.
        deadline: When to give up.
        termination_log: Gets the reason for giving up, if it is there.
    """

    def begin(failure: NotYet) -> None:
        if deadline.left() > 0:
            logger.info("waiting up to %.1f s until %s: %s", deadline.left(), goal, failure)

    started = time.monotonic()
    try:
        attempts = until(attempt, deadline, on_first_failure=begin)
    except NotYet as failure:
        waited = time.monotonic() - started
        message = (
            f"gave up after {waited:.1f} s of waiting until {goal}: {failure}; the service starts uncached"
        )
        logger.warning("%s", message)
        leave_word(message, termination_log)
        return
    logger.info("%s, after %.1f s and %d attempts", goal, time.monotonic() - started, attempts)


def leave_word(message: str, file: Path) -> None:
    """Write a message into a file that is there already; do nothing where it is not, or cannot be written."""
    try:
        # Not created: outside a container the file would be litter in /dev.
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(descriptor, message.encode()[:MAX_MESSAGE_BYTES])
    except OSError:
        pass
    finally:
        os.close(descriptor)
