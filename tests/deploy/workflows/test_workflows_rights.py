"""The rights that docs/ci.md gives the deployer in the cluster, against what deploy.sh does there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy.kustomize import values_of
from tests.support.deploy.objects import find, of_kind
from tests.support.deploy.workflows.delivery import PAGE, REPOSITORY

if TYPE_CHECKING:
    from tests.support.deploy.objects import Object
    from tests.support.deploy.renders import Renders

DEPLOYED = ("prod", "everything", "keda", "external")
APPLIED = {"get", "create", "patch"}
DELETED = {"get", "list", "watch", "delete"}
"""With `get` for all kinds at once, and with what kubectl waits by for the end of an object."""

Right = tuple[str, str, str]
"""Group, resource and verb."""


@pytest.fixture(scope="module")
def stated() -> list[Object]:
    """The objects of the page."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return list(yaml.safe_load_all(block))


def rights(role: Object | None) -> set[Right]:
    """Return all that a role allows."""
    assert role is not None
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture
def own(stated: list[Object]) -> set[Right]:
    """What it may do in production's namespace."""
    return rights(find(stated, "Role", "mlapi-deploy"))


def prunable() -> dict[str, str]:
    """Return the kinds that deploy.sh deletes, each with its resource as kubectl takes it."""
    text = (REPOSITORY / "scripts" / "lib" / "rollout.sh").read_text("utf-8")
    (table,) = re.findall(r"^prunable='\n(.*?)'$", text, re.DOTALL | re.MULTILINE)
    return dict(line.split() for line in table.splitlines())


def resource_of(one: Object) -> tuple[str, str]:
    """Return an object's group and resource."""
    group = one["apiVersion"].rpartition("/")[0]
    return group, re.sub(r"(?<![aeiou])ys$", "ies", f"{one['kind'].lower()}s")


@pytest.mark.parametrize("render", DEPLOYED)
def test_the_deployer_may_apply_what_is_rendered(renders: Renders, own: set[Right], render: str) -> None:
    """The first delivery with a component ends in `forbidden`, in the middle of an apply."""
    elsewhere = {"Namespace", "Secret"}
    applied = {resource_of(one) for one in renders[render] if one["kind"] not in elsewhere}

    assert {(*resource, verb) for resource in applied for verb in APPLIED} - own == set()


def test_the_deployer_may_delete_what_is_obsolete(own: set[Right]) -> None:
    """A component that is taken out stays in the cluster, and the delivery fails at its end."""
    resources = [resource.partition(".")[::2] for resource in prunable().values()]

    assert resources
    assert {(group, name, verb) for name, group in resources for verb in DELETED} - own == set()


def test_the_deployer_may_make_the_roles_that_are_rendered(renders: Renders, own: set[Right]) -> None:
    """Kubernetes refuses a Role that can do more than whoever makes it."""
    roles = of_kind(renders["everything"], "Role")

    assert roles
    assert set().union(*(rights(role) for role in roles)) - own == set()


def test_the_deployer_may_see_why_a_rollout_failed(own: set[Right]) -> None:
    """A failed delivery says nothing but that it failed."""
    assert {
        ("", "pods", "list"),
        ("", "pods", "get"),
        ("", "pods/log", "get"),
        ("", "events", "list"),
    } - own == set()


def test_the_deployer_reaches_its_own_namespace_and_the_gateways_address(stated: list[Object]) -> None:
    """Its rights lie in another namespace than it deploys to, or the smoke test finds no address."""
    values = values_of("prod")
    where = {one["metadata"]["name"]: one["metadata"]["namespace"] for one in of_kind(stated, "Role")}
    (space,) = of_kind(stated, "ClusterRole")

    assert where == {
        "mlapi-deploy": values["namespace"],
        "mlapi-gateway-address": values["gatewayNamespace"],
    }
    assert rights(find(stated, "Role", "mlapi-gateway-address")) == {("", "services", "list")}
    assert rights(space) == {("", "namespaces", verb) for verb in APPLIED}
    assert {name for rule in space["rules"] for name in rule.get("resourceNames", [])} == {
        values["namespace"]
    }


def test_the_deployer_reads_no_secret_and_holds_no_wildcard(stated: list[Object]) -> None:
    """Whoever can start a delivery can read the password, or do anything in the cluster."""
    for one in stated:
        for group, resource, verb in rights(one):
            assert "*" not in group + resource + verb
            assert resource != "secrets"
