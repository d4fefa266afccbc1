"""Autoscalers and disruption budgets: their targets exist, and nobody else sets the number of pods."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.support.deploy.objects import find, name_of, of_kind, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object, Workload

SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def scaled_targets(objects: Sequence[Object]) -> list[str]:
    """What an autoscaler scales is there, and is scaled by one alone."""
    targets = {name_of(one): target_of(one) for one in of_kind(objects, *SCALERS)}
    found = [
        f"{name}: there is no {target}" for name, target in targets.items() if not _there(objects, target)
    ]
    found += [
        f"{target} is scaled by {count} at a time: each would undo the others"
        for target, count in Counter(targets.values()).items()
        if count > 1
    ]
    return found


def no_replicas(objects: Sequence[Object]) -> list[str]:
    """No `replicas` stands beside an autoscaler: every apply would set the number back."""
    scaled = {target_of(one) for one in of_kind(objects, *SCALERS)}
    return [
        f"{name_of(one)}: `replicas` stands beside its autoscaler; take it out"
        for one in of_kind(objects, "Deployment")
        if name_of(one) in scaled and "replicas" in one["spec"]
    ]


def scaled_containers(objects: Sequence[Object]) -> list[str]:
    """A scaler's figures are those of a container that is there and requests what is counted."""
    found = []
    for scaler in of_kind(objects, *SCALERS):
        target = next((one for one in workloads(objects) if one.name == target_of(scaler)), None)
        if target is None:
            continue
        for container, resource, relative in _counted(scaler):
            found += _faults(scaler, target, container, resource, relative=relative)
    return found


def bounds(objects: Sequence[Object]) -> list[str]:
    """An autoscaler has room between its smallest and its largest number, and never goes to nothing."""
    found = []
    for one in of_kind(objects, *SCALERS):
        spec = one["spec"]
        smallest = spec.get("minReplicas", 1) if one["kind"] == SCALERS[0] else spec.get("minReplicaCount", 0)
        largest = spec.get("maxReplicas", spec.get("maxReplicaCount", 100))
        if not 1 <= smallest < largest:
            found.append(f"{name_of(one)} scales between {smallest} and {largest}")
    return found


def budgets(objects: Sequence[Object]) -> list[str]:
    """A budget lets one pod go at a time: `minAvailable` would block a node's drain at the lowest number."""
    return [
        f"{name_of(one)}: must say maxUnavailable: 1 and nothing else"
        for one in of_kind(objects, "PodDisruptionBudget")
        if one["spec"].get("maxUnavailable") != 1 or "minAvailable" in one["spec"]
    ]


def rollouts(objects: Sequence[Object]) -> list[str]:
    """A rollout takes no pod away before another one is ready."""
    return [
        f"{name_of(one)}: strategy must be RollingUpdate with maxUnavailable 0 and a maxSurge above 0"
        for one in of_kind(objects, "Deployment")
        if not _careful(one["spec"].get("strategy", {}))
    ]


def target_of(scaler: Object) -> str:
    """Return kind and name of what an autoscaler scales."""
    reference = scaler["spec"]["scaleTargetRef"]
    return f"{reference.get('kind', 'Deployment')} {reference['name']}"


def _there(objects: Sequence[Object], target: str) -> bool:
    kind, name = target.split()
    return find(objects, kind, name) is not None


def _careful(strategy: Object) -> bool:
    rolling = strategy.get("rollingUpdate", {})
    surge = rolling.get("maxSurge", "25%")
    return (
        strategy.get("type", "RollingUpdate") == "RollingUpdate"
        and rolling.get("maxUnavailable", "25%") == 0
        and surge not in {0, "0", "0%"}
    )


def _counted(scaler: Object) -> list[tuple[str | None, str, bool]]:
    """Return container (None: the whole pod), resource, and whether it is counted relative to the request."""
    counted: list[tuple[str | None, str, bool]] = []
    for metric in scaler["spec"].get("metrics", []):
        if metric["type"] in {"Resource", "ContainerResource"}:
            source = metric.get("resource") or metric["containerResource"]
            relative = source["target"]["type"] == "Utilization"
            counted.append((source.get("container"), source["name"], relative))
    for trigger in scaler["spec"].get("triggers", []):
        if trigger["type"] in {"cpu", "memory"}:
            container = trigger["metadata"].get("containerName")
            counted.append((container, trigger["type"], trigger["metricType"] == "Utilization"))
    return counted


def _faults(
    scaler: Object, target: Workload, container: str | None, resource: str, *, relative: bool
) -> list[str]:
    if container is None:
        return [
            f"{name_of(scaler)} counts {resource} of whole pods, which a sidecar dilutes; name the container"
        ]
    chosen = [one for one in target.containers if one["name"] == container]
    if not chosen:
        return [f"{name_of(scaler)}: {target.name} has no container {container}"]
    if relative and resource not in chosen[0].get("resources", {}).get("requests", {}):
        return [f"{name_of(scaler)}: {container} requests no {resource}, so a share of it cannot be counted"]
    return []
