"""Probes do what the kubelet's do, seen with containers that only pretend."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.pods.health import Health
from tests.support.deploy.pods.probes import LIVENESS, READINESS, STARTUP, Exec, HttpGet, Probe, succeeds
from tests.support.http_server import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

GET = HttpGet("http", "/health")


class Pretended:
    """A container that answers as told, then goes on with the last answer.

    Attributes:
        asked: How often it was.
    """

    def __init__(self, answers: Iterable[int | type[Exception]]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def get(self, action: HttpGet, timeout_s: float) -> int:
        return self._next()

    def execute(self, action: Exec, timeout_s: float) -> int:
        return self._next()

    def _next(self) -> int:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if isinstance(answer, int):
            return answer
        raise answer


class Seen:
    """What a container's health reported, in order."""

    def __init__(self, probes: dict[str, Probe], container: Pretended) -> None:
        self.events: list[object] = []
        self.health = Health(probes, container, on_ready=self.events.append, on_dead=self.events.append)
        self.health.start()


def probe(*, success: int = 1, failure: int = 1, delay: int = 0) -> Probe:
    """Return a probe that asks without pause."""
    return Probe(GET, delay, 0, 1, success, failure)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (200, True),
        (302, True),
        (400, False),
        (503, False),
        (OSError, False),
        (http.client.HTTPException, False),
    ],
)
def test_a_status_below_400_is_a_success(*, answer: int | type[Exception], expected: bool) -> None:
    """A 503 of a draining pod would count as ready, or a redirect as a failure."""
    assert succeeds(probe(), Pretended([answer])) is expected


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (1, False), (TimeoutError, False)])
def test_a_command_succeeds_with_status_0_in_time(*, answer: int | type[Exception], expected: bool) -> None:
    """A frozen Redis would count as alive."""
    assert succeeds(Probe(Exec(("true",)), 0, 0, 1, 1, 1), Pretended([answer])) is expected


def test_readiness_waits_for_the_startup_probe() -> None:
    """A pod would get connections before it has started."""
    container = Pretended([503, 503, 200])
    seen = Seen({STARTUP: probe(failure=9), READINESS: probe()}, container)

    wait_until(lambda: bool(seen.events))
    seen.health.stop()

    assert seen.events == [True]
    assert container.asked >= 4, "three questions of the startup probe and one of the readiness probe"


def test_a_container_that_never_starts_is_restarted() -> None:
    """A pod that hangs at its start would be waited for without end."""
    seen = Seen({STARTUP: probe(failure=3), LIVENESS: probe()}, Pretended([503]))

    wait_until(lambda: bool(seen.events))
    seen.health.stop()

    assert seen.events == [STARTUP]


def test_readiness_changes_only_at_its_thresholds() -> None:
    """One slow answer would take a pod out of its Service."""
    answers = [200, 503, 200, 503, 503, 200, 200]
    seen = Seen({READINESS: probe(success=2, failure=2)}, Pretended(answers))

    wait_until(lambda: seen.events == [True] or len(seen.events) > 1)
    seen.health.stop()

    assert seen.events == [True], "two failures in a row before the first two successes changed nothing"


def test_readiness_is_lost_and_won_again() -> None:
    """A pod that recovers would stay out of its Service."""
    seen = Seen({READINESS: probe(failure=2)}, Pretended([200, 503, 503, 200]))

    wait_until(lambda: len(seen.events) == 3)
    seen.health.stop()

    assert seen.events == [True, False, True]


def test_a_container_that_is_not_alive_is_restarted() -> None:
    """A hanging process would be kept."""
    seen = Seen({LIVENESS: probe(failure=3)}, Pretended([200, 503, 503, 200, 503]))

    wait_until(lambda: LIVENESS in seen.events)
    seen.health.stop()

    assert seen.events == [True, LIVENESS], "without a readiness probe it is ready at once"


def test_nothing_is_asked_before_the_initial_delay() -> None:
    """A probe would fail a container that was promised time."""
    container = Pretended([200])
    seen = Seen({READINESS: probe(delay=3600)}, container)

    threading.Event().wait(0.05)
    seen.health.stop()

    assert (container.asked, seen.events) == (0, [])
