"""What the components for routing promise of themselves, beyond the checks of every combination."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from mlapi.settings import Settings
from tests.support.deploy.envoy.routed_renders import OWN_GATEWAY, production, with_canary
from tests.support.deploy.kustomize import BuildError, build, values_of, write_layer
from tests.support.deploy.objects import Object, find, name_of, of_kind

if TYPE_CHECKING:
    from pathlib import Path

IN_WORK = 128
"""Requests of a pod that have left its queue: two batches of 64 texts."""

VALUES = {**values_of("prod"), **OWN_GATEWAY, "stableWeight": "100", "canaryWeight": "0"}


def _spec(objects: list[Object], kind: str, name: str) -> Any:
    one = find(objects, kind, name)
    assert one is not None, f"there is no {kind} {name}"
    return one["spec"]


def test_the_canary_differs_from_the_stable_deployment_in_image_and_track_alone(tmp_path: Path) -> None:
    """A canary with other limits, probes or settings would be judged for those, and not for its model."""
    objects = with_canary(tmp_path, stable=100, canary=0)
    stable, canary = (_spec(objects, "Deployment", name) for name in ("mlapi", "mlapi-canary"))
    assert canary["selector"]["matchLabels"]["track"] == "canary"
    assert canary != stable
    expected = copy.deepcopy(stable)
    pod = expected["template"]["spec"]
    for container in [*pod["containers"], *pod["initContainers"]]:
        assert container["image"] == "mlapi"
        container["image"] = "mlapi-canary"
    constraints = [each["labelSelector"] for each in pod["topologySpreadConstraints"]]
    for selector in (expected["selector"], *constraints):
        selector["matchLabels"]["track"] = "canary"
    expected["template"]["metadata"]["labels"]["track"] = "canary"
    assert canary == expected


def test_a_canary_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    """Trying a model would change what serves everybody else."""
    before = {name_of(one): one for one in production()}
    after = {name_of(one): one for one in with_canary(tmp_path, stable=100, canary=0)}
    assert {name for name, one in after.items() if before.get(name) != one} == {
        "Deployment mlapi-canary",
        "DestinationRule mlapi-canary",
        "Service mlapi-canary",
        "VirtualService mlapi",
    }
    assert before.keys() <= after.keys()


@pytest.mark.parametrize("component", ["canary", "istio-gateway"])
def test_without_istio_it_does_not_build(component: str, tmp_path: Path) -> None:
    """Pods that no request reaches, or a gateway without routes, would be deployed in silence."""
    folder = write_layer(tmp_path, [component], values=VALUES)
    with pytest.raises(BuildError):
        build(folder)


def test_the_routes_go_through_the_own_gateway(tmp_path: Path) -> None:
    """The routes would stay with a gateway that the cluster does not have."""
    objects = build(write_layer(tmp_path, ["istio", "istio-gateway"], values=VALUES))
    gateway = _spec(objects, "Gateway", "mlapi")
    routes = _spec(objects, "VirtualService", "mlapi")
    assert routes["gateways"] == ["mlapi"]
    assert [server["hosts"] for server in gateway["servers"]] == [routes["hosts"]] * 2
    assert gateway["selector"] == {"istio": VALUES["gatewayLabel"]}


@pytest.mark.parametrize("name", ["mlapi", "lab"])
def test_the_mesh_lets_through_what_the_queues_take(name: str) -> None:
    """The proxy would refuse first, without saying when to come back."""
    scaler = next(
        one["spec"]
        for one in of_kind(production(), "HorizontalPodAutoscaler")
        if one["spec"]["scaleTargetRef"]["name"] == name
    )
    waiting = Settings.model_fields["max_queue_texts"].default
    pool = _spec(production(), "DestinationRule", name)["trafficPolicy"]["connectionPool"]
    http = pool["http"]
    limit = min(pool["tcp"]["maxConnections"], http["http1MaxPendingRequests"], http["http2MaxRequests"])
    assert limit > scaler["maxReplicas"] * (waiting + IN_WORK)
