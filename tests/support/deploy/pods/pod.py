"""Pods, run by the container engine as the kubelet would run them; only the cluster around them is missing.

The containers of a pod share one network namespace, that of a holder which does nothing. Init containers run
in their order, each until it succeeds. Containers that end are started again, after the kubelet's growing
pauses.
"""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.deploy.pods.containers import Ended, RunningContainer
from tests.support.deploy.pods.health import Health
from tests.support.deploy.pods.holder import start_holder
from tests.support.deploy.pods.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.containers_spec import ContainerSpec
    from tests.support.deploy.pods.objects import Objects
    from tests.support.deploy.pods.spec import PodSpec

PATIENCE_S = 180
"""For what takes seconds: an engine that builds images meanwhile starts a container in half a minute."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0
"""The kubelet's pauses before a second, third … restart: each is twice the one before."""


class Pod:
    """One pod of a Deployment.

    Attributes:
        spec: What the manifest says.
        name: Its own name.
        ended: How each run of each container ended, in order; init containers included.
        ready: Names of the containers that are ready.
        terminating: Whether it was told to end.
    """

    def __init__(
        self,
        engine: Engine,
        spec: PodSpec,
        objects: Objects,
        *,
        network: str,
        tools: str,
        images: Mapping[str, str],
        on_change: Callable[[], None],
    ) -> None:
        """Start it, and return while it starts.

        Args:
            engine: That runs it.
            spec: What the manifest says.
            objects: Its ConfigMaps and Secrets.
            network: The engine's network for all pods.
            tools: An image with `sleep`, `sh` and `tar`, for the holder.
            images: The engine's names of images that the manifest calls otherwise.
            on_change: Called when its readiness changes, from any thread.
        """
        self.spec = spec
        self.name = f"{spec.name}-{secrets.token_hex(3)}"
        self.ended: list[Ended] = []
        self.ready: frozenset[str] = frozenset()
        self.terminating = False
        self._engine, self._objects, self._images, self._on_change = engine, objects, images, on_change
        self._failure: BaseException | None = None
        self._running: dict[str, RunningContainer] = {}
        self._changing, self._stop = threading.Lock(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._volumes = Volumes(engine, spec, objects)
        self._holder = start_holder(engine, spec, self._volumes, name=self.name, network=network, tools=tools)
        self.address = self._holder.address()
        self._spawn(self._run)

    @property
    def is_ready(self) -> bool:
        """Whether Services may send it connections."""
        return not self.terminating and self.ready == {container.name for container in self.spec.containers}

    def port(self, name: str) -> int:
        """Return the number of a port that one of its containers names."""
        return next(c.ports[name] for c in self.spec.containers if name in c.ports)

    def published(self, name: str) -> int:
        """Return the port of 127.0.0.1 that leads to a named port of it."""
        return self._holder.published(self.port(name))

    def url(self, name: str = "http") -> str:
        """Return the address of a named port of it, as this machine reaches it."""
        return f"http://127.0.0.1:{self.published(name)}"

    def running(self, name: str) -> RunningContainer:
        """Return the present run of a container; KeyError where there is none."""
        return self._running[name]

    def log(self, name: str) -> str:
        """Return what the present run of a container wrote so far; nothing while it does not run."""
        running = self._running.get(name)
        return "" if running is None else running.container.logs()

    def runs(self, name: str) -> list[Ended]:
        """Return how each run of a container ended so far."""
        return [run for run in self.ended if run.name == name]

    def wait_ready(self) -> None:
        """Wait until it is ready; AssertionError, with what it said, where it is not in time."""
        self.wait_until(lambda: self.is_ready, "is not ready")

    def wait_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait until something holds; AssertionError, with what the pod said, where it does not in time."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if self._failure is not None:
                raise self._failure
            if time.monotonic() > deadline:
                logs = {name: running.container.logs() for name, running in self._running.items()}
                raise AssertionError(f"{self.name} {otherwise}; ended: {self.ended}; running: {logs}")
            time.sleep(0.05)

    def rewrite_files(self) -> None:
        """Bring changed ConfigMaps and Secrets into its volumes, which the kubelet does within minutes."""
        self._volumes.write(self._holder)

    def delete(self, *, grace_s: int | None = None) -> None:
        """End it as the kubelet does; `ended` tells how its containers ended.

        Args:
            grace_s: In place of the manifest's.

        Raises:
            AssertionError: A volume held more than its limit: the kubelet would have evicted the pod.
        """
        with self._changing:
            self.terminating = True
            self._stop.set()
            running = list(self._running.values())
        self._on_change()
        grace = self.spec.grace_s if grace_s is None else grace_s
        with ThreadPoolExecutor(max_workers=max(1, len(running))) as threads:
            list(threads.map(lambda each: each.stop(grace), running))
        for thread in self._threads:
            thread.join()
        full = self._volumes.over_limit(self._holder)
        self._engine.try_run("rm", "--force", self._holder.name)
        self._volumes.remove()
        assert not full, f"the kubelet would have evicted {self.name}: {full}"

    def _run(self) -> None:
        for spec in self.spec.init_containers:
            if not self._repeat(spec, once=True):
                return
        for spec in self.spec.containers:
            self._spawn(self._repeat, spec)

    def _repeat(self, spec: ContainerSpec, *, once: bool = False) -> bool:
        """Run a container again and again, or `once` with success; tell whether that was reached."""
        pause = 0.0
        while (running := self._launch(spec)) is not None:
            ended = self._follow(running)
            with self._changing:
                del self._running[spec.name]
                self.ended.append(ended)
            if once and ended.status == 0:
                return True
            if self._stop.wait(pause):
                break
            pause = min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        return False

    def _follow(self, running: RunningContainer) -> Ended:
        name = running.spec.name
        health = Health(
            running.spec.probes,
            running,
            on_ready=lambda ready: self._note(name, ready=ready),
            on_dead=lambda _: running.stop(self.spec.grace_s),
        )
        health.start()
        ended = running.wait()
        health.stop()
        self._note(name, ready=False)
        return ended

    def _launch(self, spec: ContainerSpec) -> RunningContainer | None:
        with self._changing:
            if self._stop.is_set():
                return None
            self._running[spec.name] = RunningContainer(
                self._engine,
                spec,
                image=self._images.get(spec.image, spec.image),
                holder=self._holder,
                variables=self._objects.environment(spec),
                mounts=self._volumes.options(spec),
            )
            return self._running[spec.name]

    def _note(self, name: str, *, ready: bool) -> None:
        with self._changing:
            before = self.ready
            self.ready = before | {name} if ready else before - {name}
        if self.ready != before:
            self._on_change()

    def _spawn(self, work: Callable[..., object], *arguments: object) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # noqa: BLE001 - whoever waits for the pod raises it
                self._failure = error

        thread = threading.Thread(target=guarded, name=f"pod-{self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()
