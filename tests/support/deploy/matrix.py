"""The combinations of components that are checked, each over the base as an overlay would compose it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.deploy import kustomize
from tests.support.deploy.kustomize import BuildError, build, values_of, write_layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.deploy.combinations import Combinations
    from tests.support.deploy.objects import Object

Components = tuple[str, ...]

BUILDERS = 4
"""Builds at a time; each is a process of its own that mostly waits for the disk at its start."""

FURTHER_VALUES = {
    "gatewayLabel": "ingressgateway",
    "tlsSecret": "mlapi-tls",
    "stableWeight": "90",
    "canaryWeight": "10",
    "prometheus": "http://prometheus.monitoring:9090",
    "redisUrl": "rediss://cache.example.com:6379/0",
    "redisCidr": "10.0.0.0/16",
    "modelStorageClass": "efs",
    "modelDirectory": "sst2",
    "timeZone": "Europe/Berlin",
}
"""Values of components that the overlay prod does not take; what it states itself wins."""


@dataclass(frozen=True, slots=True)
class Built:
    """One build.

    Attributes:
        name: What was built, for messages.
        components: That it is composed of.
        objects: The result; none where it failed.
        error: Why it failed.
    """

    name: str
    components: Components
    objects: tuple[Object, ...] = ()
    error: str = ""


def chosen(rules: Combinations) -> list[Components]:
    """Return every single component and pair with what they require, and every set that takes no more."""
    every = list(rules.allowed())
    parts = [part for size in (0, 1, 2) for part in combinations(rules.order, size)]
    pairs = {full for part in parts if not rules.problems(full := rules.completed(part))}
    largest = {one for one in every if not any(set(one) < set(other) for other in every)}
    return sorted(pairs | largest, key=lambda one: (len(one), [rules.order.index(name) for name in one]))


def build_sets(sets: Iterable[Components]) -> list[Built]:
    """Build each set over the base, with values and the Secrets that come from elsewhere."""
    with TemporaryDirectory(prefix="mlapi-manifests-") as folder, ThreadPoolExecutor(BUILDERS) as builders:
        return list(builders.map(lambda one: _build(one, Path(folder)), sets))


def build_overlay(name: str) -> Built:
    """Build an overlay as it stands in the repository."""
    return _built(f"overlay {name}", overlay_components(name), kustomize.overlay(name))


def build_folder(folder: Path) -> Built:
    """Build any kustomization; of the components that it may take nothing is known."""
    return _built(str(folder), (), folder)


def overlay_components(name: str) -> Components:
    """Return the components that an overlay lists, in its order."""
    text = (kustomize.overlay(name) / "kustomization.yaml").read_text(encoding="utf-8")
    return tuple(Path(path).name for path in yaml.safe_load(text).get("components", []))


def _build(components: Components, folder: Path) -> Built:
    name = "+".join(components) or "base alone"
    layer = folder / name
    layer.mkdir()
    more: dict[str, Any] = {
        "images": [{"name": "redis", "newTag": "7-bookworm"}],
        "secretGenerator": [_supplied(secret) for secret in supplied_secrets(components)],
    }
    values = {**FURTHER_VALUES, **values_of("prod")}
    return _built(name, components, write_layer(layer, components, values=values, more=more))


def supplied_secrets(components: Components) -> list[str]:
    """Return the Secrets that nothing here makes: deploy.sh does, or whoever has the certificate."""
    makes = "redis-auth" in components and "external-secrets" not in components
    return [*(["redis-auth"] if makes else []), *(["redis-ca"] if "redis-ca" in components else [])]


def _supplied(name: str) -> dict[str, Any]:
    key = "ca.crt" if name == "redis-ca" else "password"
    options = {"disableNameSuffixHash": True, "labels": {"app.kubernetes.io/name": "redis"}}
    return {"name": name, "literals": [f"{key}=made-for-the-check"], "options": options}


def _built(name: str, components: Components, folder: Path) -> Built:
    try:
        return Built(name, components, tuple(build(folder)))
    except BuildError as error:
        return Built(name, components, error=str(error))
