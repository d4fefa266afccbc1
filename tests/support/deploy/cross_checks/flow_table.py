"""Who talks to whom, as the objects themselves tell: settings, Services, routes, monitors, the mesh."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.deploy.cross_checks.pod_security import tokens_of
from tests.support.deploy.cross_checks.ports import number_of, target_of
from tests.support.deploy.cross_checks.routes import destinations, service_of
from tests.support.deploy.cross_checks.selectors import selected, services
from tests.support.deploy.cross_checks.settings import image_settings, own_containers
from tests.support.deploy.cross_checks.times import meshed
from tests.support.deploy.objects import of_kind, selects, strings_in, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object, Workload

DNS_PORT = 53
MESH_PORT = 15012
API_PORTS = (443, 6443)  # before and after the Service's address is replaced by the server's
REDIS_PORT = 6379


@dataclass(frozen=True, slots=True)
class Flow:
    """One kind of connection.

    Attributes:
        source: Name of a workload here, or what it is outside: `anyone`, `gateway`, `prometheus`.
        target: The same: `DNS`, `mesh control plane`, `Redis outside`, `Kubernetes API`.
        port: Of the pod that is connected to.
        protocol: TCP or UDP.
    """

    source: str
    target: str
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.source} to {self.target}, {self.protocol} {self.port}"


def flows(objects: Sequence[Object]) -> set[Flow]:
    """Return every connection that the rendered objects need."""
    return {
        *_redis(objects),
        *_names(objects),
        *_balanced(objects),
        *_routed(objects),
        *_scraped(objects),
        *_proxies(objects),
        *_api(objects),
    }


def foreseen(objects: Sequence[Object]) -> set[Flow]:
    """Return what may come to be needed: network policies may let it through before it is.

    A gateway, Prometheus and a mesh can stand in the cluster without a component here that names them.
    """
    found = set()
    for one, _, settings in image_settings(objects):
        found.add(Flow("gateway", one.name, settings.port))
        found |= {Flow("prometheus", one.name, port) for port in [settings.metrics_port] if port}
        found.add(Flow(one.name, "mesh control plane", MESH_PORT))
    return found


def gateway_namespace(objects: Sequence[Object]) -> str | None:
    """Return where the gateway stands, as the authorization policies name it."""
    for policy in of_kind(objects, "AuthorizationPolicy"):
        for text in strings_in(policy["spec"]):
            if match := re.fullmatch(r"[^/]+/ns/([^/]+)/sa/[^/]+", text):
                return match[1]
    return None


def redis_host(variables: dict[str, str | None]) -> tuple[str, int] | None:
    """Return host and port of the Redis that a container uses; nothing for a cache in the process."""
    url = variables.get("MLAPI_REDIS_URL") or "memory://"
    parts = urlsplit(url if "://" in url else f"redis://{url}")
    return (parts.hostname or "", parts.port or REDIS_PORT) if parts.scheme in {"redis", "rediss"} else None


def asked_services(objects: Sequence[Object]) -> list[Object]:
    """Return the Services here that pods here connect to by name."""
    addresses = [redis_host(variables) for _, _, variables in own_containers(objects)]
    names = {service_of(address[0]) for address in addresses if address}
    return [service for name, service in services(objects).items() if name in names]


def _redis(objects: Sequence[Object]) -> Iterator[Flow]:
    for one, _, variables in own_containers(objects):
        address = redis_host(variables)
        if address is None:
            continue
        service = services(objects).get(service_of(address[0]))
        if service is None:
            yield Flow(one.name, "Redis outside", address[1])
            continue
        for target, port in _ports_behind(objects, service):
            yield Flow(one.name, target.name, port)


def _names(objects: Sequence[Object]) -> Iterator[Flow]:
    """Whoever connects to a name asks for its address, over UDP, or over TCP where the answer is long."""
    asking = {one.name for one, _, variables in own_containers(objects) if redis_host(variables)}
    asking |= {one.name for one in workloads(objects) if meshed(objects, one)}
    for name in asking:
        yield Flow(name, "DNS", DNS_PORT, "UDP")
        yield Flow(name, "DNS", DNS_PORT, "TCP")


def _balanced(objects: Sequence[Object]) -> Iterator[Flow]:
    for service in of_kind(objects, "Service"):
        if service["spec"].get("type") in {"LoadBalancer", "NodePort"}:
            for target, port in _ports_behind(objects, service):
                yield Flow("anyone", target.name, port)


def _routed(objects: Sequence[Object]) -> Iterator[Flow]:
    for _, destination in destinations(objects):
        service = services(objects).get(service_of(destination["host"]))
        for target, port in _ports_behind(objects, service) if service else ():
            yield Flow("gateway", target.name, port)


def _scraped(objects: Sequence[Object]) -> Iterator[Flow]:
    for monitor in of_kind(objects, "PodMonitor"):
        for one in workloads(objects):
            if selects(monitor["spec"]["selector"], one.labels):
                for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                    yield Flow("prometheus", one.name, one.ports().get(endpoint["port"], 0))


def _proxies(objects: Sequence[Object]) -> Iterator[Flow]:
    for one in workloads(objects):
        if meshed(objects, one):
            yield Flow(one.name, "mesh control plane", MESH_PORT)


def _api(objects: Sequence[Object]) -> Iterator[Flow]:
    for one in workloads(objects):
        for port in API_PORTS if tokens_of(one) else ():
            yield Flow(one.name, "Kubernetes API", port)


def _ports_behind(objects: Sequence[Object], service: Object) -> Iterator[tuple[Workload, int]]:
    for one in selected(objects, service):
        for port in service["spec"].get("ports", []):
            number = number_of(one, target_of(port))
            if number is not None:
                yield one, number
