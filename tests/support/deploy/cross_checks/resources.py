"""Requests, limits and sizes: all stated, and in the right order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.deploy.objects import of_kind, quantity, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object, Workload

KINDS = ("cpu", "memory")
REDIS_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
REDIS_ROOM = 1.25
"""A Redis container's memory over `maxmemory`, which leaves out buffers, fragmentation and the program."""

REDIS_UID = 999


def requests_and_limits(objects: Sequence[Object]) -> list[str]:
    """Every container requests CPU and memory and has limits above that."""
    found = []
    for one in workloads(objects):
        for container in one.all_containers:
            stated = container.get("resources", {})
            for kind in KINDS:
                place = f"{one.name}, container {container['name']}: {kind}"
                request, limit = stated.get("requests", {}).get(kind), stated.get("limits", {}).get(kind)
                if request is None or limit is None:
                    found.append(f"{place}: needs a request and a limit")
                elif quantity(request) > quantity(limit):
                    found.append(f"{place}: the request {request} is above the limit {limit}")
    return found


def bounded_volumes(objects: Sequence[Object]) -> list[str]:
    """Every emptyDir has a size limit, which in memory is smaller than that of the containers."""
    found = []
    for one in workloads(objects):
        memory = sum(_limit(container) for container in one.spec["containers"])
        for volume in one.spec.get("volumes", []):
            if "emptyDir" not in volume:
                continue
            stated = volume["emptyDir"] or {}
            if "sizeLimit" not in stated:
                found.append(f"{one.name}: the volume {volume['name']} needs a sizeLimit")
            elif stated.get("medium") == "Memory" and quantity(stated["sizeLimit"]) >= memory:
                found.append(f"{one.name}: the volume {volume['name']} may take all of the pod's memory")
    return found


def redis_fits(objects: Sequence[Object]) -> list[str]:
    """Redis evicts before it is killed, keeps nothing on disk, and runs as its own user from its own file."""
    found: list[str] = []
    for one, container, config in redis_pods(objects):
        found += _config_faults(one.name, container, config)
        user = {**one.spec.get("securityContext", {}), **container.get("securityContext", {})}.get(
            "runAsUser"
        )
        if user != REDIS_UID:
            found.append(f"{one.name}: must run as {REDIS_UID}, whom its files belong to")
    return found


def redis_pods(objects: Sequence[Object]) -> Iterator[tuple[Workload, Object, dict[str, str]]]:
    """Yield every pod that runs Redis, its container, and the directives of its configuration."""
    for one in workloads(objects):
        for container in one.containers:
            files = mounted_files(objects, one, container)
            command = " ".join([*container.get("command", []), *container.get("args", [])])
            started = " ".join([command, *(text for path, text in files.items() if path in command)])
            if match := re.search(r"redis-server(?:\s+(/\S+))?", started):
                yield one, container, _directives(files.get(match[1] or "", ""))


def mounted_files(objects: Sequence[Object], one: Workload, container: Object) -> dict[str, str]:
    """Return the files that ConfigMaps bring into a container, by path."""
    volumes = {
        volume["name"]: volume.get("configMap", {}).get("name") for volume in one.spec.get("volumes", [])
    }
    data = {config["metadata"]["name"]: config.get("data", {}) for config in of_kind(objects, "ConfigMap")}
    return {
        f"{mount['mountPath']}/{key}": text
        for mount in container.get("volumeMounts", [])
        for key, text in data.get(volumes.get(mount["name"]), {}).items()
    }


def _directives(config: str) -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in config.splitlines() if line.strip())
    return {words[0]: words[-1].strip() for words in lines if not words[0].startswith("#")}


def _config_faults(name: str, container: Object, config: dict[str, str]) -> Iterator[str]:
    if not config:
        yield f"{name}: redis-server must be given a mounted configuration file"
        return
    match = re.fullmatch(r"(\d+)([a-z]*)", config.get("maxmemory", "0").lower())
    most = int(match[1]) * REDIS_UNITS[match[2]] if match else 0
    limit = _limit(container)
    if not most:
        yield f"{name}: maxmemory must be set"
    elif most * REDIS_ROOM > limit:
        yield f"{name}: its memory limit must be {REDIS_ROOM} times maxmemory or more"
    wanted = {"maxmemory-policy": "allkeys-lru", "save": '""', "appendonly": "no"}
    for key, value in wanted.items():
        if config.get(key) != value:
            yield f"{name}: {key} must be {value}, not {config.get(key)}"


def _limit(container: Object) -> float:
    return quantity(container.get("resources", {}).get("limits", {}).get("memory", 0))
