"""Reads rendered Kubernetes objects: their names, pods, containers and selectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"})
SUFFIXES = {"": 1, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
SUFFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Workload:
    """What makes pods.

    Attributes:
        name: Kind and name, for messages.
        owner: The object.
        labels: Of its pods.
        spec: Of its pods.
    """

    name: str
    owner: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Its containers, without those that end before the others start."""
        beside = [one for one in self.spec.get("initContainers", []) if one.get("restartPolicy") == "Always"]
        return [*self.spec.get("containers", []), *beside]

    @property
    def all_containers(self) -> list[Object]:
        """Its containers, init containers included."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    def ports(self) -> dict[str, int]:
        """Its containers' ports by name."""
        listed = [port for one in self.containers for port in one.get("ports", [])]
        return {str(port.get("name", port["containerPort"])): int(port["containerPort"]) for port in listed}


def name_of(one: Object) -> str:
    """Return kind and name, such as `Deployment mlapi`."""
    return f"{one['kind']} {one['metadata']['name']}"


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def find(objects: Iterable[Object], kind: str, name: str) -> Object | None:
    """Return the object of this kind and name, or nothing."""
    return next((one for one in of_kind(objects, kind) if one["metadata"]["name"] == name), None)


def workloads(objects: Iterable[Object]) -> list[Workload]:
    """Return all that make pods."""
    found = []
    for one in of_kind(objects, *WORKLOADS):
        template = pod_template(one)
        labels = template.get("metadata", {}).get("labels", {})
        found.append(Workload(name_of(one), one, labels, template["spec"]))
    return found


def pod_template(one: Object) -> Object:
    """Return a workload's pod template."""
    spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
    template: Object = spec["template"]
    return template


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (`matchLabels`, `matchExpressions`) matches; an empty one matches all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions", []))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    return {
        "In": lambda: value in expression["values"],
        "NotIn": lambda: value not in expression["values"],
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }[expression["operator"]]()


def strings_in(value: Any) -> Iterator[str]:
    """Yield every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from strings_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)


def quantity(value: str | float) -> float:
    """Return a Kubernetes quantity as a number: `500m` is 0.5, `1Gi` is 2**30.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(value))
    if match is None or match[2] not in SUFFIXES:
        raise ValueError(f"{value!r} is no quantity")
    return float(match[1]) * SUFFIXES[match[2]]


def seconds(duration: str) -> float:
    """Return a duration such as `1m30s` or `0.5s` in seconds.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", duration):
        raise ValueError(f"{duration!r} is no duration")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def environment(objects: Iterable[Object], container: Object) -> dict[str, str | None]:
    """Return a container's variables as the kubelet sets them; None where the value lies in a Secret."""
    known = list(objects)
    variables: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        prefix = source.get("prefix", "")
        config = find(known, "ConfigMap", source.get("configMapRef", {}).get("name", ""))
        if config is not None:
            variables |= {f"{prefix}{key}": str(value) for key, value in config.get("data", {}).items()}
    for entry in container.get("env", []):
        variables[entry["name"]] = str(entry.get("value", "")) if "valueFrom" not in entry else None
    return variables
