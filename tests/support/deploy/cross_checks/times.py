"""The chain of times: each waits a little longer than the one that it depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from mlapi.server import CLOSE_S, KEEP_ALIVE_S
from tests.support.deploy.cross_checks.routes import service_of
from tests.support.deploy.cross_checks.selectors import selected, services
from tests.support.deploy.cross_checks.settings import image_settings
from tests.support.deploy.objects import name_of, of_kind, pod_template, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlapi.settings import Settings
    from tests.support.deploy.objects import Object, Workload

PROXY_CONFIG = "proxy.istio.io/config"
PROXY_IDLE_S = 3600.0
"""Istio's idle timeout of a connection to a pod, where a DestinationRule states none."""

ROUTE_S = 0.0
"""Istio's timeout of a route that states none: there is none."""


def keep_alive(objects: Sequence[Object]) -> list[str]:
    """The mesh closes idle connections before the service does, or a request meets a closing connection."""
    found = []
    for one in of_kind(objects, "DestinationRule"):
        if service_of(one["spec"]["host"]) not in {name for name, _ in _served(objects)}:
            continue
        pool = one["spec"].get("trafficPolicy", {}).get("connectionPool", {}).get("http", {})
        idle = seconds(pool["idleTimeout"]) if "idleTimeout" in pool else PROXY_IDLE_S
        if not idle < KEEP_ALIVE_S:
            found.append(
                f"{name_of(one)}: idleTimeout is {idle:g} s; it must be below the service's keep-alive, "
                f"{KEEP_ALIVE_S} s"
            )
    return found


def route_timeouts(objects: Sequence[Object]) -> list[str]:
    """A route waits longer than the service's deadline for the same request, which answers with a reason."""
    found = []
    for one in of_kind(objects, "VirtualService"):
        for route in one["spec"]["http"]:
            name = f"{name_of(one)}, route {route.get('name')}"
            timeout = seconds(route["timeout"]) if "timeout" in route else ROUTE_S
            for settings in _behind(objects, route):
                bulk = any("bulk-predict" in path for path in _paths(route))
                deadline = settings.bulk_timeout_s if bulk else settings.predict_timeout_s
                if not timeout:
                    found.append(f"{name}: has no timeout")
                elif not deadline < timeout:
                    found.append(f"{name}: waits {timeout:g} s, the service answers within {deadline:g} s")
    return found


def bulk_routes(objects: Sequence[Object]) -> list[str]:
    """Bulk requests have a route of their own, or they would end with the single texts' timeout."""
    found = []
    for one in of_kind(objects, "VirtualService"):
        exact = {text for route in one["spec"]["http"] for text in _paths(route, "exact")}
        prefixes = {text for route in one["spec"]["http"] for text in _paths(route, "prefix")}
        found += [
            f"{name_of(one)}: no route for {prefix}bulk-predict"
            for prefix in sorted(prefixes)
            if f"{prefix}bulk-predict" not in exact
        ]
    return found


def termination_grace(objects: Sequence[Object]) -> list[str]:
    """Kubernetes kills a pod only after it has had all the time that its drain may take."""
    found = []
    for one, container, settings in image_settings(objects):
        grace = one.spec.get("terminationGracePeriodSeconds", 30)
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = hook + settings.drain_grace_s + settings.drain_timeout_s + CLOSE_S
        if not grace > needed:
            found.append(f"{one.name}: terminationGracePeriodSeconds is {grace}; it must be above {needed:g}")
    return found


def proxy_drain(objects: Sequence[Object]) -> list[str]:
    """A classic sidecar serves until the service has drained, and starts before it."""
    found = []
    for one, _, settings in image_settings(objects):
        config = proxy_config(one)
        if not meshed(objects, one):
            continue
        needed = settings.drain_grace_s + settings.drain_timeout_s + CLOSE_S
        stated = config.get("terminationDrainDuration", "5s")
        if seconds(stated) < needed:
            found.append(f"{one.name}: terminationDrainDuration is {stated}; it must be {needed:g}s or more")
        if config.get("holdApplicationUntilProxyStarts") is not True:
            found.append(f"{one.name}: needs holdApplicationUntilProxyStarts: true")
    return found


def progress_deadline(objects: Sequence[Object]) -> list[str]:
    """A rollout is not given up while the gate may still wait and the service may still start."""
    found = []
    for one, container, settings in image_settings(objects):
        if one.owner["kind"] != "Deployment":
            continue
        probe = container.get("startupProbe", {})
        start = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get(
            "failureThreshold", 3
        )
        gate = settings.wait_timeout_s if one.spec.get("initContainers") else 0
        needed = gate + start + one.owner["spec"].get("minReadySeconds", 0)
        deadline = one.owner["spec"].get("progressDeadlineSeconds", 600)
        if not needed < deadline:
            found.append(f"{one.name}: progressDeadlineSeconds is {deadline}; it must be above {needed:g}")
    return found


def shared_gate(objects: Sequence[Object]) -> list[str]:
    """Both gates run, in order, before the service, and share one deadline in a volume of the pod."""
    found = []
    for one, _, settings in image_settings(objects):
        gates = [each for each in one.spec.get("initContainers", []) if each.get("args", [])[:1] == ["wait"]]
        if [each["args"] for each in gates] != [["wait", "dns"], ["wait", "redis"]]:
            found.append(
                f"{one.name}: needs the init containers `mlapi wait dns` and `mlapi wait redis`, in order"
            )
        if settings.wait_deadline_file is None:
            found.append(f"{one.name}: needs MLAPI_WAIT_DEADLINE_FILE, by which the two share their time")
    return found


def meshed(objects: Sequence[Object], one: Workload) -> bool:
    """Whether a pod gets a proxy: its namespace asks for it, and the pod does not decline."""
    label = one.labels.get("sidecar.istio.io/inject")
    asked = any(
        space["metadata"].get("labels", {}).get("istio-injection") == "enabled"
        for space in of_kind(objects, "Namespace")
    )
    return label == "true" or (asked and label != "false")


def proxy_config(one: Workload) -> Object:
    """Return what a pod's annotation tells its proxy."""
    annotations = pod_template(one.owner).get("metadata", {}).get("annotations", {})
    config: Object = yaml.safe_load(annotations.get(PROXY_CONFIG, "{}"))
    return config


def _served(objects: Sequence[Object]) -> Iterator[tuple[str, Settings]]:
    """Yield each Service that leads to this project's program, with the settings behind it."""
    settings = {one.name: these for one, _, these in image_settings(objects)}
    for name, service in services(objects).items():
        for one in selected(objects, service):
            if one.name in settings:
                yield name, settings[one.name]


def _behind(objects: Sequence[Object], route: Object) -> list[Settings]:
    hosts = {service_of(one["destination"]["host"]) for one in route.get("route", [])}
    return [settings for name, settings in _served(objects) if name in hosts]


def _paths(route: Object, kind: str | None = None) -> list[str]:
    uris = [match.get("uri", {}) for match in route.get("match", [])]
    return [text for uri in uris for key, text in uri.items() if kind in {None, key}]
