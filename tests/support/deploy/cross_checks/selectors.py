"""Selectors: each matches the pods that it is meant for, and nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploy.cross_checks.identity import NAME
from tests.support.deploy.objects import name_of, of_kind, selects, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.deploy.objects import Object, Workload

ONE_WORKLOAD = frozenset({"Service", "PodDisruptionBudget", "Deployment"})
"""Kinds whose selector must match the pods of exactly one workload."""


def selectors(objects: Sequence[Object]) -> list[str]:
    """Every selector matches at least one workload's pods; those that must, exactly one's."""
    known = workloads(objects)
    found = []
    for name, kind, selector in stated_selectors(objects):
        matched = [one.name for one in known if selects(selector, one.labels)]
        if not matched:
            found.append(f"{name}: its selector {dict(selector)} matches no pod")
        elif kind in ONE_WORKLOAD and len(matched) > 1:
            found.append(f"{name}: its selector matches the pods of {' and '.join(matched)}")
    return found


def owners_match_their_pods(objects: Sequence[Object]) -> list[str]:
    """A Deployment's selector, and the selector by which its pods are spread, match its own pods."""
    found = []
    for one in workloads(objects):
        own = one.owner["spec"].get("selector")
        if own is not None and not selects(own, one.labels):
            found.append(f"{one.name}: its selector does not match the labels of its own pods")
        for constraint in one.spec.get("topologySpreadConstraints", []):
            others = [other.name for other in workloads(objects) if _spread_with(constraint, other)]
            if others != [one.name]:
                key = constraint["topologyKey"]
                found.append(f"{one.name}: spread over {key} by a selector that matches {others}")
    return found


def name_and_track(objects: Sequence[Object]) -> list[str]:
    """Services, budgets and Deployments select by name and track: no canary joins by accident."""
    return [
        f"{name}: its selector does not have {key}"
        for name, kind, selector in stated_selectors(objects)
        if kind in ONE_WORKLOAD
        for key in (NAME, "track")
        if key not in selector.get("matchLabels", {})
    ]


def stated_selectors(objects: Sequence[Object]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield name, kind and selector of what selects pods, but for empty selectors, which mean all."""
    for one in objects:
        kind, spec = one["kind"], one.get("spec", {})
        if kind == "Service" and "selector" in spec:
            yield name_of(one), kind, {"matchLabels": spec["selector"]}
        elif kind in {"Deployment", "PodDisruptionBudget", "PodMonitor"} or (
            kind in {"PeerAuthentication", "AuthorizationPolicy"} and "selector" in spec
        ):
            yield name_of(one), kind, spec["selector"]
        elif kind == "NetworkPolicy" and spec.get("podSelector"):
            yield name_of(one), kind, spec["podSelector"]


def selected(objects: Sequence[Object], service: Object) -> list[Workload]:
    """Return the workloads whose pods a Service selects."""
    wanted = {"matchLabels": service["spec"].get("selector", {})}
    return [one for one in workloads(objects) if wanted["matchLabels"] and selects(wanted, one.labels)]


def services(objects: Sequence[Object]) -> dict[str, Object]:
    """Return the Services by name."""
    return {one["metadata"]["name"]: one for one in of_kind(objects, "Service")}


def _spread_with(constraint: Mapping[str, Any], other: Workload) -> bool:
    return selects(constraint.get("labelSelector", {}), other.labels)
