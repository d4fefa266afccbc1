"""Ports: what is named exists, and metrics stay off every Service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.selectors import selected
from tests.support.deploy.cross_checks.settings import image_settings
from tests.support.deploy.objects import name_of, of_kind, selects, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object, Workload

METRICS = "metrics"


def target_ports(objects: Sequence[Object]) -> list[str]:
    """A Service's target port is a port of the containers behind it."""
    return [
        f"{name_of(service)}: no container of {one.name} has the target port {target_of(port)}"
        for service in of_kind(objects, "Service")
        for port in service["spec"].get("ports", [])
        for one in selected(objects, service)
        if number_of(one, target_of(port)) is None
    ]


def metrics_stay_inside(objects: Sequence[Object]) -> list[str]:
    """No Service carries the port of the metrics: a gateway or a load balancer would publish it."""
    return [
        f"{name_of(service)} carries {METRICS} of {one.name}: take the port out"
        for service in of_kind(objects, "Service")
        for port in service["spec"].get("ports", [])
        for one in selected(objects, service)
        if METRICS in one.ports() and number_of(one, target_of(port)) == one.ports()[METRICS]
    ]


def scraped_ports(objects: Sequence[Object]) -> list[str]:
    """A PodMonitor names a port that each pod that it selects has."""
    return [
        f"{name_of(monitor)}: {one.name} has no port named {endpoint.get('port')}"
        for monitor in of_kind(objects, "PodMonitor")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        for one in workloads(objects)
        if selects(monitor["spec"]["selector"], one.labels) and endpoint.get("port") not in one.ports()
    ]


def listening_ports(objects: Sequence[Object]) -> list[str]:
    """The declared ports are those that the service's settings make it listen on."""
    found = []
    for one, container, settings in image_settings(objects):
        declared = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
        wanted: dict[str, int | None] = {"http": settings.port, METRICS: settings.metrics_port}
        if declared != wanted:
            found.append(f"{one.name}: declares {declared}, but its settings make it listen on {wanted}")
    return found


def target_of(port: Object) -> str | int:
    """Return a Service port's target, which is the port itself where none is stated."""
    target: str | int = port["targetPort"] if "targetPort" in port else port["port"]
    return target


def number_of(one: Workload, port: str | int) -> int | None:
    """Return the number of a pod's port by name or number; None where it has none."""
    if isinstance(port, str):
        return one.ports().get(port)
    return port if port in one.ports().values() else None
