"""What stands around the pods: a network, Services, and the links between them and ready pods."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from tests.support.deploy.pods.objects import Objects
from tests.support.deploy.pods.pod import Pod
from tests.support.deploy.pods.services import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from tests.support.deploy.engine import Engine

LAG_S = 0.5
"""A Service learns so late that a pod is ready, or is not any more. In a cluster, too, the news takes its
time, and meanwhile a pod that is ending still gets connections."""


class Cluster:
    """Pods and Services of rendered manifests, on a network of their own.

        with Cluster(engine, kustomize.build(overlay), tools=image, images={"mlapi": image}) as cluster:
            cluster.serve("redis")
            cluster.start("redis").wait_ready()

    Nothing runs until it is asked for, so that a test can see what its absence does.

    Attributes:
        objects: What was rendered.
        pods: All that were started and not deleted.
    """

    def __init__(
        self, engine: Engine, rendered: Iterable[Mapping[str, Any]], *, tools: str, images: Mapping[str, str]
    ) -> None:
        """Read the manifests.

        Args:
            engine: That runs all this.
            rendered: The objects that Kustomize printed.
            tools: An image with Python, `sleep`, `sh` and `tar`, for what is no pod.
            images: The engine's names of images that the manifests call otherwise.
        """
        self.objects = Objects(rendered)
        self.pods: list[Pod] = []
        self._engine, self._tools, self._images = engine, tools, images
        self._services: dict[str, Service] = {}
        self._changing = threading.Lock()
        self._timers: list[threading.Timer] = []
        self._stack = ExitStack()

    def serve(self, *names: str) -> None:
        """Start Services."""
        for name in names:
            spec = self.objects.services[name]
            service = Service(self._engine, spec, network=self._network, tools=self._tools)
            with self._changing:
                self._services[name] = service
        self._publish()

    def start(self, deployment: str) -> Pod:
        """Start a pod of a Deployment, and return while it starts."""
        pod = Pod(
            self._engine,
            self.objects.pods[deployment],
            self.objects,
            network=self._network,
            tools=self._tools,
            images=self._images,
            on_change=self._changed,
        )
        with self._changing:
            self.pods.append(pod)
        return pod

    def delete(self, pod: Pod) -> None:
        """End a pod as a rollout does, and wait for its end."""
        pod.delete()
        self.pods.remove(pod)

    def url(self, service: str, port: int) -> str:
        """Return the address of a Service's port, as this machine reaches it."""
        return f"http://127.0.0.1:{self._services[service].published(port)}"

    def __enter__(self) -> Self:
        self._network = self._stack.enter_context(self._engine.network())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            with self._changing:
                services, self._services = self._services, {}
                for timer in self._timers:
                    timer.cancel()
            with ThreadPoolExecutor() as threads:
                ends = [threads.submit(pod.delete, grace_s=0) for pod in self.pods]
                ends += [threads.submit(service.stop) for service in services.values()]
            for end in ends:
                end.result()

    def _changed(self) -> None:
        timer = threading.Timer(LAG_S, self._publish)
        timer.daemon = True
        with self._changing:
            self._timers = [each for each in self._timers if each.is_alive()] + [timer]
            timer.start()

    def _publish(self) -> None:
        with self._changing:
            for service in self._services.values():
                service.update([pod for pod in self.pods if pod.is_ready])
