"""The schemas themselves: whatever they do not know is refused, wherever it stands."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema.validators import Draft202012Validator

from tests.support.deploy.mutations.mutation import GONE, Mutation
from tests.support.deploy.objects import name_of
from tests.support.deploy.schemas import custom_resources, faults, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.renders import Renders

UNKNOWN = "unknownField"
FREE = frozenset(
    {
        "annotations",
        "data",
        "labels",
        "limits",
        "matchLabels",
        "portLevelMtls",
        "requests",
        "stringData",
    }
)
"""Mappings whose keys are names, not fields."""


def _mappings(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every mapping whose keys are fields."""
    if isinstance(node, dict):
        yield path
        for key, value in node.items():
            if key not in FREE and not (key == "selector" and path == ("spec",)):
                yield from _mappings(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _mappings(value, (*path, index))


@pytest.mark.parametrize("render", ["everything", "keda", "external"])
def test_an_unknown_field_is_refused_at_every_level(renders: Renders, render: str) -> None:
    """A misspelt field, which the API would drop without a word, passes the check somewhere."""
    newest = versions()[-1]
    missed = []
    for one in renders[render]:
        for path in _mappings(one):
            changed = copy.deepcopy(one)
            node: Any = changed
            for part in path:
                node = node[part]
            node[UNKNOWN] = "x"
            if not faults([changed], newest):
                missed.append(f"{name_of(one)}: {path}")
    assert missed == []


@pytest.mark.parametrize(
    ("where", "path", "value"),
    [
        ("Deployment mlapi", "spec/template/spec/containers/mlapi/env/MLAPI_METRICS_PORT/value", 9090),
        ("Service mlapi", "spec/ports/http/port", "80"),
        ("VirtualService mlapi", "spec/http/project/timeout", "15"),
        ("VirtualService mlapi", "spec/http/project/retries/attempts", "1"),
        ("VirtualService mlapi", "spec/http/project/match/0/uri", {"exact": "/a", "prefix": "/b/"}),
        ("DestinationRule mlapi", "spec/trafficPolicy/loadBalancer/simple", "LEAST_CONN"),
        ("Gateway mlapi", "spec/servers/https/tls/minProtocolVersion", "TLS1.2"),
        ("PeerAuthentication default", "spec/mtls/mode", "STRICTLY"),
        ("AuthorizationPolicy mlapi", "spec/rules/0/to/0/operation/ports", [8000]),
        ("PodMonitor mlapi", "spec/podMetricsEndpoints/0/interval", "15"),
        ("SecretStore aws", "spec/provider/aws/service", "SecretManager"),
        ("ExternalSecret redis-auth", "spec/refreshInterval", "1d"),
        ("ExternalSecret redis-auth", "spec/data/0/secretKey", GONE),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(renders: Renders, where: str, path: str, value: Any) -> None:
    """A value of the wrong type or outside of what the API takes passes the check."""
    changed = Mutation(lambda _: [], "everything", where, path, value, "").applied(renders["everything"])
    assert faults(renders["everything"], versions()[-1]) == []
    assert any(line.startswith(where) for line in faults(changed, versions()[-1]))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/triggers/queue/metadata/threshold", 128),
        ("spec/triggers/queue/metricType", "Utilization"),
        ("spec/triggers/2/metadata/type", "Utilization"),
        ("spec/fallback/behavior", "highest"),
        ("spec/idleReplicaCount", 1),
    ],
)
def test_a_wrong_value_of_a_scaled_object_is_refused(renders: Renders, path: str, value: Any) -> None:
    """KEDA would refuse what the check lets through, after the old autoscaler is gone."""
    mutation = Mutation(lambda _: [], "keda", "ScaledObject mlapi", path, value, "")
    assert faults(mutation.applied(renders["keda"]), versions()[-1])


def test_the_newest_versions_are_checked() -> None:
    """Manifests are checked against Kubernetes versions that nobody runs any more."""
    assert [int(version.split(".")[1]) for version in versions()] == [35, 36, 37]


def test_a_removed_api_is_refused() -> None:
    """An API that a newer Kubernetes has removed is taken for a custom resource and passes."""
    old = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "x"},
        "spec": {},
    }
    assert all("no schema of policy/v1beta1" in line for line in faults([old], versions()[-1]))
    assert faults([old], versions()[-1])


def test_an_api_of_another_group_is_refused() -> None:
    """A kind under a group that only looks alike passes, because its schema is found by a short name."""
    other = {"apiVersion": "apps.example.com/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {}}
    assert "is no API of Deployment" in faults([other], versions()[-1])[0]


def _open(schema: Any, path: str = "$") -> Iterator[str]:
    """Yield where a schema has properties and lets others in."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for key, value in schema.items():
            yield from _open(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _open(value, f"{path}[{index}]")


@pytest.mark.parametrize("crd", custom_resources().values(), ids=lambda crd: str(crd["kind"]))
def test_schemas_of_custom_resources_are_closed(crd: dict[str, Any]) -> None:
    """A schema of a custom resource lets unknown fields through, is no schema, or hides where it is from."""
    Draft202012Validator.check_schema(crd["spec"])
    assert list(_open(crd["spec"])) == []
    assert list(_open(crd.get("$defs", {}), "$defs")) == []
    assert crd["documentation"].startswith("https://")
    assert crd["version"].rpartition(" ")[2][0].isdigit()
