"""The engine's thread: answers, failures, health, ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mlapi.errors import EngineError
from mlapi.types import Encoding, Probabilities
from mlapi.worker import Worker
from tests.support.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = [Encoding(payload=[1], length=1, truncated=False)]


def _echo(batch: Sequence[Encoding]) -> list[Probabilities]:
    return [(float(encoding.length),) for encoding in batch]


async def test_a_call_is_answered_and_the_thread_ends() -> None:
    """No text would ever be answered, or the process never exit."""
    worker = Worker(_echo, name="test")
    worker.start()
    assert await worker.call(ONE) == [(1.0,)]
    assert worker.healthy(stuck_after=60)
    assert worker.stop(timeout=5)
    assert not worker.healthy(stuck_after=60)


async def test_an_exception_reaches_the_caller_and_the_thread_goes_on() -> None:
    """One bad batch would end all service."""
    failures = iter([RuntimeError("once")])

    def fail_once(batch: Sequence[Encoding]) -> list[Probabilities]:
        for failure in failures:
            raise failure
        return _echo(batch)

    worker = Worker(fail_once, name="test")
    worker.start()
    with pytest.raises(RuntimeError, match="once"):
        await worker.call(ONE)
    assert await worker.call(ONE) == [(1.0,)]
    worker.stop(timeout=5)


async def test_a_thread_that_ends_is_noticed() -> None:
    """Requests would wait for ever for an engine thread that is gone, while liveness says all is well."""

    def leave(_batch: Sequence[Encoding]) -> list[Probabilities]:
        raise SystemExit

    worker = Worker(leave, name="test")
    worker.start()
    with pytest.raises(EngineError, match="SystemExit"):
        await worker.call(ONE)
    await eventually(lambda: not worker.healthy(stuck_after=60))
    with pytest.raises(EngineError, match="gone"):
        await worker.call(ONE)


async def test_a_call_that_hangs_is_noticed_and_left_behind() -> None:
    """A hung engine would keep the pod alive, and keep the process from exiting."""
    gate = threading.Event()
    started = threading.Event()

    def hang(batch: Sequence[Encoding]) -> list[Probabilities]:
        started.set()
        gate.wait()
        return _echo(batch)

    worker = Worker(hang, name="test")
    worker.start()
    reply = worker.call(ONE)
    await eventually(started.is_set)
    assert worker.healthy(stuck_after=60)
    await eventually(lambda: not worker.healthy(stuck_after=0.001))
    assert not worker.stop(timeout=0.01)
    reply.cancel()
    gate.set()
    await eventually(lambda: not worker.healthy(stuck_after=60))


async def test_a_panic_of_a_native_library_fails_its_call_only() -> None:
    """One text that a tokenizer panics on would end all service."""

    class PanicException(BaseException):
        """What native libraries raise, outside the tree of `Exception`."""

    panics = iter([PanicException()])

    def panic_once(batch: Sequence[Encoding]) -> list[Probabilities]:
        for panic in panics:
            raise panic
        return _echo(batch)

    worker = Worker(panic_once, name="test")
    worker.start()
    with pytest.raises(EngineError, match="PanicException"):
        await worker.call(ONE)
    assert await worker.call(ONE) == [(1.0,)]
    worker.stop(timeout=5)


async def test_what_was_cancelled_is_not_begun() -> None:
    """Work that nobody waits for any more would be done before what somebody does."""
    gate = threading.Event()
    seen: list[int] = []

    def note(batch: Sequence[Encoding]) -> list[Probabilities]:
        gate.wait()
        seen.append(batch[0].length)
        return _echo(batch)

    worker = Worker(note, name="test")
    worker.start()
    first = worker.call(ONE)
    cancelled = worker.call([Encoding(payload=[2], length=2, truncated=False)])
    cancelled.cancel()
    gate.set()
    await first
    worker.stop(timeout=5)
    assert seen == [1]
