"""deploy.sh where all goes well: first deployment, rollout, repetition, dry run, and a user who says no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from tests.support.deploy.scripts.deployments import PINNED

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


def order(deployment: Deployment, *words: str) -> None:
    """Check that calls were made, in this order."""
    lines = iter(deployment.tools.all_calls())
    for one in words:
        assert any(call.fits(one) for call in lines), f"no {one} where it should be"


def test_the_first_deployment_makes_the_namespace_before_it_asks_for_differences(dev: Deployment) -> None:
    """If it fails, a first deployment ends with `namespaces "mlapi-dev" not found`."""
    dev.tools.on("kubectl get namespace")
    dev.tools.on("kubectl get deployments", objects=[])
    done = dev.run("--yes")
    assert done.returncode == 0, done.stderr
    order(
        dev,
        "minikube status",
        "kubectl api-versions",
        "build-push.sh",
        "kubectl get namespace",
        "kubectl apply",
        "kubectl create configmap mlapi-deploy-lock",
        "kubectl diff --server-side",
        "kubectl apply --server-side",
        "kubectl rollout status deployment/mlapi",
        "kubectl port-forward service/mlapi",
        "kubectl port-forward service/lab",
        "kubectl delete configmap mlapi-deploy-lock",
    )
    namespace, everything = dev.applied()
    assert [one["kind"] for one in yaml.safe_load_all(namespace)] == ["Namespace"]
    assert {"Namespace", "Deployment", "Service", "Secret"} <= {
        one["kind"] for one in yaml.safe_load_all(everything)
    }


def test_a_first_deployment_opens_its_routes_last(prod: Deployment) -> None:
    """If it fails, the gateway answers 503 while the first pods start."""
    prod.tools.on("kubectl get deployments", objects=[])
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    closed, opened = prod.applied()
    assert "kind: VirtualService" not in closed
    assert "kind: VirtualService" in opened
    order(prod, "kubectl apply *without-routes.yaml", "kubectl rollout", "kubectl apply *render.yaml")


def test_everything_is_applied_by_the_server_under_a_name_of_its_own(dev: Deployment) -> None:
    """If it fails, fields of an autoscaler are overwritten, or what is obsolete is never found again."""
    assert dev.run("--yes").returncode == 0
    for call in (*dev.tools.calls("kubectl apply *render.yaml"), *dev.tools.calls("kubectl diff")):
        assert {"--server-side", "--force-conflicts", "--field-manager=mlapi-deploy"} <= set(call.arguments)
        assert call.arguments[:2] == ("--context", "minikube")


def test_a_second_run_finds_no_differences_and_applies_nothing(dev: Deployment) -> None:
    """If it fails, a repetition is no repetition: it rolls out, or says that it did."""
    assert dev.run("--yes").returncode == 0
    first = dev.applied()[-1]
    dev.tools.forget()
    dev.tools.on("kubectl diff")
    done = dev.run()
    assert done.returncode == 0, done.stderr
    assert "no differences" in done.stdout
    assert dev.applied() == []
    assert dev.tools.calls("kubectl diff")[0].files["render.yaml"] == first
    assert dev.tools.calls("kubectl port-forward service/mlapi"), "it still asks whether the service answers"


def test_no_means_that_nothing_is_applied(dev: Deployment) -> None:
    """If it fails, the question is no question."""
    for answer in ("n\n", "\n", "", "yes please\n"):
        dev.tools.forget()
        done = dev.run(answer=answer)
        assert done.returncode == 1
        assert "nothing was applied" in done.stderr
        assert dev.applied() == []
        assert dev.tools.calls("kubectl delete configmap mlapi-deploy-lock")


def test_no_at_a_first_deployment_tells_of_the_namespace(dev: Deployment) -> None:
    """If it fails, who says no is told that the cluster is untouched, and it is not."""
    dev.tools.on("kubectl get namespace")
    done = dev.run(answer="n\n")
    assert done.returncode == 1
    assert "nothing was applied but the namespace mlapi-dev" in done.stderr
    assert [one["kind"] for one in yaml.safe_load_all("---\n".join(dev.applied()))] == ["Namespace"]


def test_yes_is_taken_from_the_terminal(dev: Deployment) -> None:
    """If it fails, the script can only be run with --yes."""
    done = dev.run(answer="y\n")
    assert done.returncode == 0, done.stderr
    assert "+kind: Deployment" in done.stdout, "the differences are shown before the question"
    assert len(dev.applied()) == 1


def test_production_is_deployed_from_what_was_pushed_last_and_asked_through_the_gateway(
    prod: Deployment,
) -> None:
    """If it fails, production gets another image than was pushed, or is asked past its gateway."""
    prod.generated.mkdir()
    (prod.generated / "image").write_text(f"{PINNED}\n", encoding="utf-8")
    done = prod.run("--yes")
    assert done.returncode == 0, done.stderr
    assert f"image: {PINNED}" in prod.applied()[-1]
    assert not prod.tools.calls("minikube")
    assert [(host, path) for method, host, path in prod.service.asked if method == "POST"] == [
        ("mlapi.example.com", "/project/predict"),
        ("mlapi.example.com", "/lab/predict"),
    ]
    assert "model version 299abbbd653cfb85" in done.stdout
    assert "https://mlapi.example.com/project" in done.stdout


def test_the_gateway_is_found_by_its_namespace(prod: Deployment) -> None:
    """If it fails, the smoke test asks a host name that may not lead to this cluster yet."""
    balancer = {"ingress": [{"hostname": "gateway.elb.amazonaws.com"}]}
    inside = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "inside"},
        "status": {"loadBalancer": {}},
    }
    outside = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "public"}}
    ports = {"ports": [{"port": 80}, {"port": 443}]}
    found = [inside | {"spec": ports}, outside | {"spec": ports, "status": {"loadBalancer": balancer}}]
    prod.tools.on("kubectl get services --namespace istio-ingress", objects=found)
    prod.tools.on("curl", stderr="curl: (6) Could not resolve host", status=6)
    prod.tools.on("kubectl get pods")
    prod.tools.on("kubectl get pods -l *", objects=[])
    prod.tools.on("kubectl get events")
    done = prod.run("--yes", "--image", PINNED, "--gateway", "", "--smoke-timeout", "0")
    assert done.returncode == 2, "an empty address is a mistake, not a wish for the default"
    prod.service.tls = None
    prod.run("--yes", "--image", PINNED, "--smoke-timeout", "0")
    (asked,) = prod.tools.calls("curl")
    assert "mlapi.example.com:443:gateway.elb.amazonaws.com:443" in asked.arguments


def test_a_dry_run_changes_nothing(dev: Deployment) -> None:
    """If it fails, looking at what would be done does some of it."""
    done = dev.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert dev.changes() == []
    assert not dev.generated.exists()
    assert "Deployment/mlapi" in done.stdout
    assert "would build the image" in done.stdout
    assert "+kind: Deployment" in done.stdout


def test_a_dry_run_needs_no_cluster(prod: Deployment) -> None:
    """If it fails, nobody can look at a plan without access to production."""
    prod.tools.on("kubectl api-versions", stderr="error: connection refused\n", status=1)
    done = prod.run("--dry-run", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert "does not answer" in done.stdout
    assert "VirtualService/mlapi" in done.stdout
    assert prod.changes() == []
    assert not prod.generated.exists()
