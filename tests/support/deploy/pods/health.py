"""What the kubelet makes of the probes of one running container."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.support.deploy.pods.probes import LIVENESS, READINESS, STARTUP, Probe, Probed, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Health:
    """Startup first; then readiness and liveness side by side. A container without a probe passes it."""

    def __init__(
        self,
        probes: Mapping[str, Probe],
        container: Probed,
        *,
        on_ready: Callable[[bool], None],
        on_dead: Callable[[str], None],
    ) -> None:
        """Keep what to do; nothing is asked here.

        Args:
            probes: By `STARTUP`, `READINESS`, `LIVENESS`.
            container: Who is asked.
            on_ready: Told of each change of readiness.
            on_dead: Told, with the name of the probe, that the container has to be restarted.
        """
        self._probes, self._container = probes, container
        self._on_ready, self._on_dead = on_ready, on_dead
        self._starting, self._stop = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._spawning = threading.Lock()

    def start(self) -> None:
        """Begin."""
        if STARTUP in self._probes:
            self._spawn(STARTUP, self._starting, self._started, known=None)
        else:
            self._started(passed=True)

    def stop(self) -> None:
        """End; nothing is reported afterwards."""
        with self._spawning:
            self._stop.set()
            self._starting.set()
        for thread in self._threads:
            thread.join()

    def _started(self, passed: bool) -> None:
        self._starting.set()
        if not passed:
            self._on_dead(STARTUP)
            return
        if READINESS in self._probes:
            self._spawn(READINESS, self._stop, self._on_ready, known=False)
        else:
            self._on_ready(True)  # noqa: FBT003 - as watch reports it
        if LIVENESS in self._probes:
            self._spawn(LIVENESS, self._stop, self._lives, known=True)

    def _lives(self, passed: bool) -> None:
        if not passed:
            self._on_dead(LIVENESS)

    def _spawn(
        self, name: str, stop: threading.Event, report: Callable[[bool], None], *, known: bool | None
    ) -> None:
        with self._spawning:
            if self._stop.is_set():
                return
            thread = threading.Thread(
                target=watch,
                args=(self._probes[name], self._container, stop, report),
                kwargs={"known": known},
                name=f"probe-{name}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
