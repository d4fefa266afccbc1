"""What ends a measurement ends the servers that it has started."""

from __future__ import annotations

import signal


def interrupt_when_told_to_stop() -> None:
    """Have SIGTERM and SIGINT raise KeyboardInterrupt in the main thread.

    By itself SIGTERM would end this process alone and leave its servers behind, and shells start commands in
    the background with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
