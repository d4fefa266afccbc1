"""The renders of which the tests of routing make an Envoy's configuration."""

from __future__ import annotations

import copy
import functools
import os
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.deploy.kustomize import K8S, build, overlay, values_of, write_layer
from tests.support.deploy.objects import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.deploy.objects import Object

API = "outbound|80||mlapi"
CANARY = "outbound|80||mlapi-canary"
NAME = values_of("prod")["host"]
SHARED = values_of("prod")["gateway"]
"""The listener in place of the cluster's gateway."""

OWN_GATEWAY = {"gatewayLabel": "ingress", "tlsSecret": "mlapi-tls"}


@functools.cache
def production() -> list[Object]:
    """Render the overlay `prod`, which composes `istio`; not to be changed."""
    return build(overlay("prod"))


def with_own_gateway(folder: Path) -> list[Object]:
    """Render `istio-gateway`.

    Args:
        folder: An empty one.
    """
    values = {**values_of("prod"), **OWN_GATEWAY}
    return build(write_layer(folder, ["istio", "istio-gateway"], values=values))


def with_canary(folder: Path, *, stable: int, canary: int) -> list[Object]:
    """Render a layer over `prod` that adds the canary, as its README shows.

    Args:
        folder: An empty one.
        stable: Weight of the stable Deployment.
        canary: Weight of the canary.
    """
    weights = {"stableWeight": str(stable), "canaryWeight": str(canary)}
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "values"}, "data": weights}
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }
    (folder / "weight").mkdir()
    (folder / "weight" / "kustomization.yaml").write_text(yaml.safe_dump(component), encoding="utf-8")
    canary_folder = os.path.relpath(K8S / "components" / "canary", folder.resolve())
    more = {"components": ["weight", canary_folder]}
    return build(write_layer(folder, [], over=overlay("prod"), more=more))


def changed(objects: Sequence[Object], kind: str, name: str) -> tuple[list[Object], Any]:
    """Return a copy of all objects, and the `spec` in it of one of them, to be changed."""
    copies = copy.deepcopy(list(objects))
    found = find(copies, kind, name)
    assert found is not None, f"there is no {kind} {name}"
    return copies, found["spec"]
