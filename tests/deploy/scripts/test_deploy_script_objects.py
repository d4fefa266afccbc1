"""deploy.sh and what is in the cluster already: what it deletes, and whose replicas it leaves alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.kustomize import K8S
from tests.support.deploy.scripts.deployments import PINNED, ROOT
from tests.support.deploy.scripts.kubectl_answers import api_resources, applied

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment

# Nothing deletes these, because the repository cannot make again what is in them.
KEPT = {"Namespace", "PersistentVolumeClaim", "Secret"}
# No objects of a cluster.
LOCAL = {"Any", "Component", "Kustomization", "LabelTransformer", "ReplacementTransformer"}


def deployment(name: str, replicas: int, *owners: tuple[str, str]) -> dict[str, Any]:
    """Return a live Deployment whose replicas belong to these managers, with the subresource of each."""
    managed = [
        {
            "manager": manager,
            "subresource": subresource,
            "operation": "Update",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
        for manager, subresource in owners
    ]
    managed.append({"manager": "kube-controller-manager", "fieldsV1": {"f:status": {"f:replicas": {}}}})
    metadata = {"name": name, "managedFields": managed}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }


def kept_replicas(prod: Deployment) -> list[str]:
    """Return what was applied to keep numbers of replicas."""
    calls = prod.tools.calls("kubectl apply --field-manager=mlapi-deploy-replicas")
    return [text for call in calls for text in call.files.values()]


def test_what_the_render_no_longer_has_is_deleted_after_the_rollout(prod: Deployment) -> None:
    """If it fails, components that were taken out go on working, or go before their successors run."""
    gone = applied("autoscaling/v2", "HorizontalPodAutoscaler", "old")
    prod.tools.on("kubectl get configmaps,*", objects=[gone, applied("apps/v1", "Deployment", "mlapi")])
    prod.tools.on("kubectl delete horizontalpodautoscalers.autoscaling/old")
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert "to be deleted afterwards: horizontalpodautoscalers.autoscaling/old" in done.stdout
    (deleted,) = (call for call in prod.tools.calls("kubectl delete") if "configmap" not in call.arguments)
    assert deleted.line.endswith("delete horizontalpodautoscalers.autoscaling/old --ignore-not-found")
    lines = [call.line for call in prod.tools.all_calls()]
    assert lines.index(deleted.line) > max(n for n, line in enumerate(lines) if "rollout status" in line)


def test_something_obsolete_is_a_difference(prod: Deployment) -> None:
    """If it fails, a component that was only taken out is never removed, because nothing else differs."""
    prod.tools.on("kubectl diff")
    prod.tools.on("kubectl get configmaps,*", objects=[applied("v1", "Service", "old")])
    prod.tools.on("kubectl delete services/old")
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert prod.tools.calls("kubectl delete services/old")


def test_a_dry_run_tells_what_would_be_deleted(prod: Deployment) -> None:
    """If it fails, a plan is silent about the one thing that cannot be undone."""
    prod.tools.on("kubectl get configmaps,*", objects=[applied("v1", "Service", "old")])
    done = prod.run("--dry-run", "--image", PINNED)
    assert "would delete services/old" in done.stdout
    assert not prod.tools.calls("kubectl delete")


@pytest.mark.parametrize(
    "other",
    [
        applied("v1", "ConfigMap", "theirs", manager="helm"),
        applied("v1", "ConfigMap", "made", ownerReferences=[{"kind": "ScaledObject", "name": "mlapi"}]),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-hand"}},
    ],
    ids=["of another tool", "of an owner", "made by hand"],
)
def test_what_others_made_is_left_alone(prod: Deployment, other: dict[str, Any]) -> None:
    """If it fails, the label alone decides, and objects of operators and people are deleted."""
    prod.tools.on("kubectl get configmaps,*", objects=[other])
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    deleted = [call.line for call in prod.tools.calls("kubectl delete")]
    assert all("mlapi-deploy-" in line for line in deleted)


def test_only_kinds_that_the_cluster_knows_are_looked_for(dev: Deployment) -> None:
    """If it fails, Minikube without Istio answers `the server doesn't have a resource type`."""
    dev.tools.on("kubectl api-resources", stdout=api_resources(without="networking.istio.io"))
    assert dev.run("--yes").returncode == 0
    (asked,) = dev.tools.calls("kubectl get configmaps,*")
    types = asked.arguments[5].split(",")
    assert "deployments.apps" in types
    assert "networkpolicies.networking.k8s.io" in types
    assert "virtualservices.networking.istio.io" not in types
    assert not {"secrets", "namespaces", "persistentvolumeclaims"} & set(types)


def test_every_kind_of_the_manifests_is_looked_for_or_kept_on_purpose() -> None:
    """If it fails, a component brings a kind that stays in the cluster when the component is taken out."""
    library = (ROOT / "scripts" / "lib" / "rollout.sh").read_text(encoding="utf-8")
    table = library.partition("prunable='")[2].partition("'")[0].split()
    kinds = {
        kind
        for file in K8S.rglob("*.yaml")
        if ".generated" not in file.parts
        for kind in re.findall(r"^kind: (\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert "VirtualService" in kinds
    assert kinds - KEPT - LOCAL <= set(table[::2])
    assert not KEPT & set(table[::2])


@pytest.mark.parametrize("owner", ["kubectl-client-side-apply", "mlapi-deploy", "terraform"])
def test_replicas_that_no_autoscaler_has_set_are_kept(prod: Deployment, owner: str) -> None:
    """If it fails, the first deployment over one made in another way drops the service to 1 pod."""
    prod.tools.on("kubectl get deployments", objects=[deployment("mlapi", 6, (owner, ""))])
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    (kept,) = kept_replicas(prod)
    assert '"replicas":6' in kept
    assert '"name":"mlapi"' in kept
    lines = [call.line for call in prod.tools.all_calls()]
    number = next(n for n, line in enumerate(lines) if "mlapi-deploy-replicas" in line)
    assert any(line.endswith("/render.yaml") and " apply " in line for line in lines[number:]), (
        "before the render"
    )


@pytest.mark.parametrize(
    "live",
    [
        deployment("mlapi", 6, ("kubectl-client-side-apply", ""), ("kube-controller-manager", "scale")),
        deployment("mlapi", 6, ("mlapi-deploy-replicas", "")),
        deployment("mlapi", 1, ("kubectl-client-side-apply", "")),
        deployment("somebody-elses", 6, ("kubectl-client-side-apply", "")),
    ],
    ids=["an autoscaler has it", "kept already", "nothing to lose", "not in the render"],
)
def test_replicas_that_are_in_no_danger_are_left_alone(prod: Deployment, live: dict[str, Any]) -> None:
    """If it fails, every deployment writes a number of replicas, against the autoscaler."""
    prod.tools.on("kubectl get deployments", objects=[live])
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    assert kept_replicas(prod) == []


def test_no_render_states_replicas(prod: Deployment) -> None:
    """If it fails, the script sets a number of replicas at every run."""
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    assert not re.search(r"^  replicas:", prod.applied()[-1], flags=re.MULTILINE)
