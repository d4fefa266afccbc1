from __future__ import annotations

import asyncio

from mlapi.cache.heartbeat import Heartbeat
from tests.support.fakes import PATIENCE_S, eventually


class Check:
    """Counts how often it is made, and how many at once."""

    def __init__(self) -> None:
        self.made = 0
        self.under_way = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> None:
        self.made += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1


async def test_checks_at_once_and_again_and_again() -> None:
    """If it fails, the state of an idle service's cache is not known, or is that of its start for ever."""
    check = Check()
    heartbeat = Heartbeat(check, interval_s=0.001)
    heartbeat.start()
    await eventually(lambda: check.made >= 5)
    await heartbeat.aclose()
    made = check.made
    await asyncio.sleep(0.02)
    assert check.made == made


async def test_one_at_a_time_however_slow() -> None:
    """If it fails, checks of a Redis that hangs pile up."""
    check = Check()
    check.gate.clear()
    heartbeat = Heartbeat(check, interval_s=0.001)
    heartbeat.start()
    heartbeat.start()
    await eventually(lambda: check.made == 1)
    await asyncio.sleep(0.02)
    assert (check.made, check.most) == (1, 1)
    await heartbeat.aclose()


async def test_closing_does_not_wait_for_a_check() -> None:
    """If it fails, a Redis that hangs holds the end of the process up."""
    check = Check()
    check.gate.clear()
    heartbeat = Heartbeat(check, interval_s=0.001)
    heartbeat.start()
    await eventually(lambda: check.under_way == 1)
    await asyncio.wait_for(heartbeat.aclose(), PATIENCE_S)
    assert check.under_way == 0


async def test_closing_what_never_started() -> None:
    """If it fails, a service that is stopped while it starts ends with an error."""
    await Heartbeat(Check()).aclose()
