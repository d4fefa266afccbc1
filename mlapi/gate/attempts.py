"""Attempts, one after the other with growing pauses, until one succeeds or the deadline has passed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlapi.gate.deadline import Deadline

ATTEMPT_S = 2.0
"""Longest attempt."""

LEAST_S = 1.0
"""Time that every attempt has, even the one after the deadline: less would say little."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0


class NotYet(Exception):  # noqa: N818 - the name says what happened
    """One attempt failed. The message says why, for people, and holds no secret."""


def until(
    attempt: Callable[[float], None],
    deadline: Deadline,
    *,
    on_first_failure: Callable[[NotYet], None],
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Attempt until it succeeds: at least once, at most until just after the deadline.

    Args:
        attempt: Called with the seconds that it may take. Runs in a thread of its own, which is left behind
            when it takes longer: a name's resolution cannot be interrupted.
        deadline: When to give up.
        on_first_failure: Told why waiting begins.
        pause: Waits for so many seconds.

    Returns:
        How many attempts it took.

    Raises:
        NotYet: What the last attempt failed of.
    """
    made, between = 0, FIRST_PAUSE_S
    while True:
        made += 1
        try:
            _limited(attempt, min(ATTEMPT_S, max(deadline.left(), LEAST_S)))
        except NotYet as failure:
            if made == 1:
                on_first_failure(failure)
            left = deadline.left()
            if left <= 0:
                raise
            pause(min(between, left))
            between = min(2 * between, LONGEST_PAUSE_S)
        else:
            return made


def _limited(attempt: Callable[[float], None], seconds: float) -> None:
    """Run one attempt for at most so long; what it raises is raised here."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            attempt(seconds)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run, name="mlapi-wait", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise NotYet(f"no answer within {seconds:.3g} s")
    if outcome[0] is not None:
        raise outcome[0]
