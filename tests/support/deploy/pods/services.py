"""Services among the pods: a name, a port, and the ready pods behind it."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deploy.engine import PATIENCE_S, Container, unique
from tests.support.deploy.fields import Fields
from tests.support.deploy.pods.spec import read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.pod import Pod

NO_MEANING = {
    "type": "how the outside reaches it; inside a cluster each type is a ClusterIP",
}
"""Fields of a Service that mean nothing outside a cluster, each with its reason."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A Service: `ports` maps its own ports to ports of the pods, by number or by name."""

    name: str
    namespace: str
    selector: Mapping[str, str]
    ports: Mapping[int, str | int]

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which pods resolve it."""
        full = f"{self.name}.{self.namespace}"
        return self.name, full, f"{full}.svc", f"{full}.svc.cluster.local"


def read_service(value: object) -> ServiceSpec:
    """Read a Service; UnimplementedError names a field that is not implemented here."""
    with Fields(value, "Service") as fields:
        fields.only("apiVersion", "v1")
        fields.only("kind", "Service")
        name, namespace = read_metadata(fields.child("metadata"))
        with fields.child("spec") as spec:
            spec.pass_over(NO_MEANING)
            ports = {}
            for each in spec.children("ports"):
                with each:
                    each.only("protocol", "TCP")
                    each.pass_over({"name": "the mesh reads it", "appProtocol": "the mesh reads it"})
                    number = each.need("port")
                    ports[number] = each.take("targetPort", number)
            return ServiceSpec(name, namespace, spec.strings("selector"), ports)


class Service:
    """A running Service: a container that has its names and passes connections on (`forwarder.py`).

    Like an address in a cluster it resolves while there is no pod behind it, and then refuses connections.
    """

    def __init__(self, engine: Engine, spec: ServiceSpec, *, network: str, tools: str) -> None:
        """Start it, without anything behind it.

        Args:
            engine: That runs it.
            spec: What the manifest says.
            network: The engine's network for all pods.
            tools: An image with Python.
        """
        self.spec = spec
        self._name = unique(f"service-{spec.name}")
        aliases = [part for name in spec.names for part in ("--network-alias", name)]
        published = [part for port in spec.ports for part in ("--publish", f"127.0.0.1::{port}")]
        program = (Path(__file__).parent / "forwarder.py").read_text("utf-8")
        self._process = subprocess.Popen(
            [
                *("docker", "run", "--rm", "--interactive", "--pull", "never", "--name", self._name),
                *("--user", "0", "--network", network, *aliases, *published),
                *("--entrypoint", "python", tools, "-c", program),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self._container = Container(engine, self._name, time.monotonic())
        deadline = time.monotonic() + PATIENCE_S
        asked = ("inspect", "--format", "{{.State.Running}}", self._name)
        while engine.try_run(*asked).stdout.strip() != "true":
            assert self._process.poll() is None, f"the Service {spec.name} did not start"
            assert time.monotonic() < deadline, f"the Service {spec.name} did not start in time"
            time.sleep(0.05)

    def published(self, port: int) -> int:
        """Return the port of 127.0.0.1 that leads to one of its ports."""
        return self._container.published(port)

    def update(self, pods: Iterable[Pod]) -> None:
        """Send new connections to these pods, if it selects them."""
        chosen = [pod for pod in pods if self.spec.selector.items() <= pod.spec.labels.items()]
        endpoints = {
            port: [(pod.address, pod.port(target) if isinstance(target, str) else target) for pod in chosen]
            for port, target in self.spec.ports.items()
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(endpoints).encode() + b"\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it, and its names with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
