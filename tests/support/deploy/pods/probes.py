"""A container's probes, run as the kubelet runs them."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.deploy.fields import Fields

STARTUP, READINESS, LIVENESS = "startup", "readiness", "liveness"


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Ask a path; any status from 200 to 399 is a success."""

    port: str | int
    path: str


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in the container, without a shell; status 0 is a success."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of a container, and how often; times are in seconds."""

    action: HttpGet | Exec
    initial_delay_s: int
    period_s: int
    timeout_s: int
    success_threshold: int
    failure_threshold: int


class Probed(Protocol):
    """A running container, as its probes see it."""

    def get(self, action: HttpGet, timeout_s: float) -> int:
        """Return the HTTP status; OSError or HTTPException where none comes in time."""
        ...

    def execute(self, action: Exec, timeout_s: float) -> int:
        """Return the command's exit status; TimeoutError where it does not end in time."""
        ...


def read_probe(fields: Fields) -> Probe:
    """Read a probe, with the defaults that the API server fills in."""
    with fields:
        if "exec" in fields:
            with fields.child("exec") as inner:
                action: HttpGet | Exec = Exec(inner.words("command") or ())
        else:
            with fields.child("httpGet") as inner:
                inner.only("scheme", "HTTP")
                action = HttpGet(inner.need("port"), inner.take("path", "/"))
        return Probe(
            action=action,
            initial_delay_s=fields.take("initialDelaySeconds", 0),
            period_s=fields.take("periodSeconds", 10),
            timeout_s=fields.take("timeoutSeconds", 1),
            success_threshold=fields.take("successThreshold", 1),
            failure_threshold=fields.take("failureThreshold", 3),
        )


def succeeds(probe: Probe, container: Probed) -> bool:
    """Ask once."""
    try:
        if isinstance(probe.action, Exec):
            return container.execute(probe.action, probe.timeout_s) == 0
        return container.get(probe.action, probe.timeout_s) in range(http.client.OK, http.client.BAD_REQUEST)
    except (OSError, http.client.HTTPException):
        return False


def watch(
    probe: Probe,
    container: Probed,
    stop: threading.Event,
    report: Callable[[bool], None],
    *,
    known: bool | None,
) -> None:
    """Ask until told to stop, and report each change when its threshold is reached.

    Args:
        probe: What to ask.
        container: Who is asked.
        stop: Ends this.
        report: Told True after enough successes, False after enough failures.
        known: The state at the start, which is not reported: a container counts as alive and as not ready.
            None reports the first state, whichever it is.
    """
    if stop.wait(probe.initial_delay_s):
        return
    state, last, same = known, None, 0
    while True:
        result = succeeds(probe, container)
        same = same + 1 if result == last else 1
        last = result
        if result != state and same >= (probe.success_threshold if result else probe.failure_threshold):
            state = result
            report(result)
        if stop.wait(probe.period_s):
            return
