"""When attempts are made, and when they end; time passes in the pauses alone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mlapi.gate import attempts
from mlapi.gate.attempts import ATTEMPT_S, LEAST_S, LONGEST_PAUSE_S, NotYet, until
from mlapi.gate.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable


class Scene:
    """A clock, the pauses that move it, and an attempt that fails until it may succeed."""

    def __init__(self, *, seconds: float, succeed_at: float = float("inf")) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.limits: list[float] = []
        self.failures: list[str] = []
        self._succeed_at = succeed_at
        self.deadline = Deadline(seconds, clock=lambda: self.now)

    def attempt(self, limit: float) -> None:
        self.limits.append(limit)
        if self.now < self._succeed_at:
            raise NotYet(f"not at {self.now:g}")

    def run(self, attempt: Callable[[float], None] | None = None) -> int:
        return until(
            attempt or self.attempt,
            self.deadline,
            on_first_failure=lambda failure: self.failures.append(str(failure)),
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_success_at_once_takes_no_pause() -> None:
    """If it fails, every pod starts later than it could."""
    scene = Scene(seconds=30, succeed_at=0)
    assert scene.run() == 1
    assert (scene.pauses, scene.failures) == ([], [])


def test_pauses_grow_up_to_a_limit() -> None:
    """If it fails, waiting pods hammer the name server, or notice Redis long after it is there."""
    scene = Scene(seconds=30, succeed_at=20)
    scene.run()
    assert scene.pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert set(scene.pauses[5:]) == {LONGEST_PAUSE_S}
    assert scene.now < 20 + LONGEST_PAUSE_S
    assert scene.failures == ["not at 0"]


def test_giving_up_at_the_deadline_after_a_last_attempt() -> None:
    """If it fails, pods wait for longer than was set, or give up with time left."""
    scene = Scene(seconds=5)
    with pytest.raises(NotYet, match="not at 5"):
        scene.run()
    assert scene.now == pytest.approx(5)


def test_one_attempt_after_the_deadline() -> None:
    """If it fails, slow resolution of the name makes Redis count as gone without a look at it."""
    scene = Scene(seconds=0)
    with pytest.raises(NotYet):
        scene.run()
    assert scene.limits == [LEAST_S]
    assert scene.pauses == []
    assert Scene(seconds=0, succeed_at=0).run() == 1


def test_an_attempt_is_short_however_much_time_there_is() -> None:
    """If it fails, one connection that hangs uses up all the time there is."""
    scene = Scene(seconds=600, succeed_at=0)
    scene.run()
    assert scene.limits == [ATTEMPT_S]


def test_an_attempt_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, a name server that does not answer holds the pod for as long as the system likes."""
    monkeypatch.setattr(attempts, "LEAST_S", 0.05)
    over = threading.Event()

    def hang(_limit: float) -> None:
        over.wait(60)

    with pytest.raises(NotYet, match=r"no answer within 0\.05 s"):
        Scene(seconds=0).run(hang)
    over.set()


def test_a_fault_is_not_waited_out() -> None:
    """If it fails, a mistake in the program or its settings looks like a Redis that is slow to come."""

    def broken(_limit: float) -> None:
        raise ValueError("a fault")

    scene = Scene(seconds=30)
    with pytest.raises(ValueError, match="a fault"):
        scene.run(broken)
    assert scene.pauses == []
