"""deploy.sh and the way to the service in production: where it is not clear, nothing is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.scripts.deployments import PINNED, refused

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


def balancer(name: str, *addresses: dict[str, str]) -> dict[str, Any]:
    """Return a Service with a load balancer on 80 and 443."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}, {"port": 443}]},
        "status": {"loadBalancer": {"ingress": list(addresses)}},
    }


def without(deployment: Deployment, key: str) -> None:
    """Empty one of the values, as somebody does who has no such thing."""
    file = deployment.overlay / "values.yaml"
    text = file.read_text(encoding="utf-8")
    old = f'  {key}: "{deployment.values[key]}"'
    assert old in text
    file.write_text(text.replace(old, f'  {key}: ""'), encoding="utf-8")
    deployment.commit("values")


def test_without_a_public_name_nothing_is_applied(prod: Deployment) -> None:
    """If it fails, the smoke test asks https:///project, and undoes a deployment that is good."""
    without(prod, "host")
    refused(prod, prod.run("--yes", "--image", PINNED), "names no host")


def test_without_the_gateways_namespace_nothing_is_applied(prod: Deployment) -> None:
    """If it fails, kubectl looks for the gateway in an empty namespace, after all is applied."""
    without(prod, "gatewayNamespace")
    prod.service.tls = None
    refused(prod, prod.run("--yes", "--image", PINNED), "names no gatewayNamespace", "--gateway ADDRESS:PORT")


def test_with_a_gateway_its_namespace_need_not_be_known(prod: Deployment) -> None:
    """If it fails, what comes in by another way than Istio's cannot be deployed."""
    without(prod, "gatewayNamespace")
    prod.tools.on("kubectl diff")
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert ("POST", "mlapi.example.com", "/project/predict") in prod.service.asked


def test_several_load_balancers_are_refused_by_name(prod: Deployment) -> None:
    """If it fails, whichever comes first is asked, and a good deployment is undone for it."""
    prod.service.tls = None
    services = [
        balancer("internal", {"ip": "10.0.0.7"}),
        balancer("public", {"hostname": "a.elb.amazonaws.com"}),
    ]
    prod.tools.on("kubectl get services --namespace istio-ingress", objects=services)
    done = prod.run("--yes", "--image", PINNED)
    refused(prod, done, "internal, --gateway 10.0.0.7:443", "public, --gateway a.elb.amazonaws.com:443")


def test_several_addresses_of_one_load_balancer_are_no_question(prod: Deployment) -> None:
    """If it fails, a load balancer in two zones stops every deployment."""
    prod.service.tls = None
    services = [balancer("public", {"ip": "192.0.2.1"}, {"ip": "192.0.2.2"})]
    prod.tools.on("kubectl get services --namespace istio-ingress", objects=services)
    prod.tools.on("kubectl diff")
    prod.tools.on("curl", stderr="curl: (7) refused", status=7)
    prod.tools.on("kubectl get pods", objects=[])
    prod.tools.on("kubectl get pods wide")
    prod.tools.on("kubectl get events")
    prod.run("--yes", "--image", PINNED, "--smoke-timeout", "0")
    (asked,) = prod.tools.calls("curl")
    assert "mlapi.example.com:443:192.0.2.1:443" in asked.arguments


@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_services_that_may_not_be_listed_are_said(prod: Deployment, option: tuple[str, ...]) -> None:
    """If it fails, a right that is missing shows only when the new pods run."""
    prod.service.tls = None
    forbidden = 'Error from server (Forbidden): services is forbidden: User "ci" cannot list resource\n'
    prod.tools.on("kubectl get services", stderr=forbidden, status=1)
    refused(prod, prod.run("--yes", "--image", PINNED, *option), "cannot be listed", "--gateway", "Forbidden")
