"""What SIGTERM does while nothing is there yet that would have to be closed with care."""

from __future__ import annotations

import atexit
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


def end_on_sigterm() -> None:
    """Have SIGTERM end the process at once, which the first process of a container would ignore otherwise.

    Once the process ends anyway, SIGTERM changes nothing: it would end the clearing up, with a traceback.
    """
    signal.signal(signal.SIGTERM, _end)
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(EXIT_TERMINATED)
