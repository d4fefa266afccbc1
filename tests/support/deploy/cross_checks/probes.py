"""Probes: they ask what the service answers, on the port it answers on, and give it time on a busy CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.settings import image_settings
from tests.support.deploy.objects import workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")
LEAST_TIMEOUT_S = 3
PATHS = {"startupProbe": "/health", "readinessProbe": "/health", "livenessProbe": "/health/live"}


def all_probes(objects: Sequence[Object]) -> list[str]:
    """Every container that runs on has the three probes, with time to answer on one busy CPU."""
    found = []
    for one in workloads(objects):
        if one.owner["kind"] != "Deployment":
            continue
        for container in one.spec["containers"]:
            place = f"{one.name}, container {container['name']}"
            found += [f"{place}: no {kind}" for kind in KINDS if kind not in container]
            found += [
                f"{place}: the timeout of its {kind} must be {LEAST_TIMEOUT_S} s or more"
                for kind in KINDS
                if container.get(kind, {}).get("timeoutSeconds", 1) < LEAST_TIMEOUT_S
            ]
    return found


def probed_paths(objects: Sequence[Object]) -> list[str]:
    """The probes ask for health under the service's own prefix, liveness for what a restart can mend."""
    found = []
    for one, container, settings in image_settings(objects):
        for kind, path in PATHS.items():
            request = container.get(kind, {}).get("httpGet", {})
            if request.get("path") != settings.prefix + path:
                found.append(
                    f"{one.name}: its {kind} asks for {request.get('path')}, not {settings.prefix + path}"
                )
            if one.ports().get(str(request.get("port")), request.get("port")) != settings.port:
                found.append(f"{one.name}: its {kind} asks port {request.get('port')}, which does not serve")
    return found
