"""Volumes: what is mounted is there, and what a volume is made of exists or is made by something here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.settings import own_containers
from tests.support.deploy.objects import name_of, of_kind, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object, Workload

VOLUME_SOURCES = {
    "configMap": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
IN_EVERY_NAMESPACE = frozenset({"kube-root-ca.crt"})
IMAGE_MODELS = "/models"
GATE_FILES = frozenset({"MLAPI_WAIT_DEADLINE_FILE"})
VARIABLE_SOURCES = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


def mounts_have_volumes(objects: Sequence[Object]) -> list[str]:
    """Every mount names a volume of its pod, and every volume is mounted somewhere, at one place each."""
    found = []
    for one in workloads(objects):
        volumes = {volume["name"] for volume in one.spec.get("volumes", [])}
        used = set()
        for container in one.all_containers:
            mounts = container.get("volumeMounts", [])
            used |= {mount["name"] for mount in mounts}
            found += [
                f"{one.name}, container {container['name']}: no volume is named {mount['name']}"
                for mount in mounts
                if mount["name"] not in volumes
            ]
            places = [mount["mountPath"] for mount in mounts]
            found += [
                f"{one.name}: {place} is mounted twice" for place in set(places) if places.count(place) > 1
            ]
        found += [f"{one.name}: nothing mounts the volume {name}" for name in sorted(volumes - used)]
    return found


def sources_exist(objects: Sequence[Object]) -> list[str]:
    """ConfigMaps, Secrets and claims that a pod names are rendered, or made by an ExternalSecret that is."""
    there = {
        "ConfigMap": {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")} | IN_EVERY_NAMESPACE,
        "Secret": {one["metadata"]["name"] for one in of_kind(objects, "Secret")}
        | {made_by(one) for one in of_kind(objects, "ExternalSecret")},
        "PersistentVolumeClaim": {
            one["metadata"]["name"] for one in of_kind(objects, "PersistentVolumeClaim")
        },
        "ServiceAccount": {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")},
    }
    return [
        f"{one.name}: {kind} {name} is neither here nor made by anything here"
        for one in workloads(objects)
        for kind, name in sources(one)
        if name not in there[kind]
    ]


def keys_exist(objects: Sequence[Object]) -> list[str]:
    """A key that a volume takes from a ConfigMap, or a mount by subPath, is in it."""
    data = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    found = []
    for one in workloads(objects):
        for volume in one.spec.get("volumes", []):
            config = volume.get("configMap", {})
            if config.get("name") not in data:
                continue
            keys = {item["key"] for item in config.get("items", [])}
            if not config.get("items"):
                keys = {
                    mount["subPath"]
                    for container in one.all_containers
                    for mount in container.get("volumeMounts", [])
                    if mount["name"] == volume["name"] and "subPath" in mount
                }
            missing = keys.difference(data[config["name"]])
            found += [f"{one.name}: ConfigMap {config['name']} has no key {key}" for key in sorted(missing)]
    return found


def files_are_mounted(objects: Sequence[Object]) -> list[str]:
    """A file or model that a setting names lies in the image, or in a volume that its reader mounts."""
    return [
        f"{one.name}, container {container['name']}: {name}={value} lies in no mounted volume"
        for one, container, variables in own_containers(objects)
        for name, value in variables.items()
        if value and _is_read(container, name) and not _mounted(container, value)
    ]


def sources(one: Workload) -> Iterator[tuple[str, str]]:
    """Yield kind and name of all that a pod needs to start, without what it declares optional."""
    for volume in one.spec.get("volumes", []):
        for part in [volume, *volume.get("projected", {}).get("sources", [])]:
            for key, (kind, field) in VOLUME_SOURCES.items():
                if key in part and not part[key].get("optional"):
                    yield kind, part[key].get(field) or part[key]["name"]
    for container in one.all_containers:
        origins = [*container.get("envFrom", []), *(e.get("valueFrom", {}) for e in container.get("env", []))]
        for origin in origins:
            for key, kind in VARIABLE_SOURCES.items():
                if key in origin and not origin[key].get("optional"):
                    yield kind, origin[key]["name"]
    yield "ServiceAccount", one.spec.get("serviceAccountName", "default")


def made_by(external: Object) -> str:
    """Return the name of the Secret that an ExternalSecret makes."""
    name: str = external["spec"].get("target", {}).get("name") or name_of(external).split()[1]
    return name


def _is_read(container: Object, name: str) -> bool:
    """Whether a program reads what a variable names, which its pod's containers may share."""
    arguments: list[str] = container.get("args", [])
    if not name.endswith("_FILE") and name != "MLAPI_MODEL":
        return False
    gate = arguments[:1] == ["wait"]
    if name in GATE_FILES:
        return gate
    return not gate or name != "MLAPI_MODEL"


def _mounted(container: Object, path: str) -> bool:
    places = [IMAGE_MODELS, *(mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts", []))]
    return any(path == place or path.startswith(f"{place}/") for place in places)
