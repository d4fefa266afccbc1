"""Where a Service leads: which running processes stand for the pods that its selector picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.objects import of_kind, selects, workloads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.support.deploy.objects import Object

LISTED = ("apiVersion", "kind")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A Service and what is behind it.

    Attributes:
        host: The Service's name, as routes call it.
        port: The Service's port.
        endpoints: Ports on this machine, one for each pod.
    """

    host: str
    port: int
    endpoints: tuple[int, ...]

    @property
    def cluster(self) -> str:
        """The name that Istio gives Envoy's cluster for it."""
        return f"outbound|{self.port}||{self.host}"


def upstreams(objects: Sequence[Object], running: Mapping[str, Sequence[int]]) -> dict[str, Upstream]:
    """Return what each Service of HTTP leads to, by name.

    Args:
        objects: As rendered.
        running: By Deployment, the ports on which its pods' stand-ins listen.

    Raises:
        UnimplementedError: A field that is not translated.
    """
    found = [_upstream(service, objects, running) for service in of_kind(objects, "Service")]
    return {one.host: one for one in found if one is not None}


def _upstream(
    service: Object, objects: Iterable[Object], running: Mapping[str, Sequence[int]]
) -> Upstream | None:
    with object_fields(service) as fields, fields.child("spec") as spec:
        host = name_in(fields)
        selector = spec.strings("selector")
        spec.only("type", "ClusterIP", "LoadBalancer")  # a balancer outside changes nothing inside
        ports = spec.children("ports")
        if len(ports) != 1:
            raise UnimplementedError(f"{spec.path}.ports: one port is translated, not {len(ports)}")
        with ports[0] as port:
            protocol = port.need("name").partition("-")[0]  # where Istio reads it too
            number: int = port.need("port")
            target: str = port.need("targetPort")
    if protocol == "tcp":
        return None
    if protocol != "http":
        raise UnimplementedError(f"{spec.path}.ports: the protocol {protocol!r} is not translated")
    pods = [one for one in workloads(objects) if selects({"matchLabels": selector}, one.labels)]
    for pod in pods:
        if target not in pod.ports():
            raise UnimplementedError(f"Service {host}: {pod.name} has no port {target!r}")
    names = [pod.owner["metadata"]["name"] for pod in pods]
    return Upstream(host, number, tuple(port for name in names for port in running.get(name, ())))


def object_fields(one: Object) -> Fields:
    """Return an object's fields, without those that name its kind."""
    fields = Fields(one, f"{one['kind']} {one['metadata']['name']}")
    for name in LISTED:
        fields.need(name)
    return fields


def name_in(fields: Fields) -> str:
    """Take an object's metadata and return its name."""
    with fields.child("metadata") as metadata:
        metadata.strings("labels")
        metadata.take("namespace")
        name: str = metadata.need("name")
    return name
