"""deploy.sh: canary, promotion, abort, and the way back to the render before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.support.deploy.scripts.deployments import OTHER, PINNED
from tests.support.deploy.scripts.kubectl_answers import applied

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment

BEFORE = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: mlapi
  namespace: mlapi
spec:
  progressDeadlineSeconds: 600
"""


def rendered(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects that were applied last, by kind and name."""
    objects = yaml.safe_load_all(deployment.applied()[-1])
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def images(deployment: dict[str, Any]) -> set[str]:
    """Return the images of a Deployment's pods."""
    spec = deployment["spec"]["template"]["spec"]
    return {one["image"] for one in [*spec["containers"], *spec.get("initContainers", [])]}


def recorded(deployment: Deployment) -> dict[str, str]:
    """Return the renders that the cluster was told to remember."""
    texts = [
        text for call in deployment.tools.calls("kubectl apply *record.yaml") for text in call.files.values()
    ]
    records = map(yaml.safe_load, texts)
    return {one["metadata"]["name"]: one["data"]["render.yaml"] for one in records}


def test_a_canary_runs_beside_what_is_running(prod: Deployment) -> None:
    """If it fails, a canary changes the stable pods too, or gets another share than was said."""
    prod.generated.mkdir()
    (prod.generated / "image").write_text(f"{OTHER}\n", encoding="utf-8")
    prod.runs("mlapi", PINNED)
    done = prod.run("--yes", "--canary", OTHER, "--canary-weight", "25")
    assert done.returncode == 0, done.stderr
    objects = rendered(prod)
    assert images(objects["Deployment", "mlapi"]) == {PINNED}, "not what was pushed last"
    assert images(objects["Deployment", "lab"]) == {PINNED}
    assert images(objects["Deployment", "mlapi-canary"]) == {OTHER}
    routes = {one["name"]: one["route"] for one in objects["VirtualService", "mlapi"]["spec"]["http"]}
    assert [one["weight"] for one in routes["project"]] == [75, 25]
    assert prod.tools.calls("kubectl rollout status deployment/mlapi-canary")
    assert ("POST", "mlapi.example.com", "/project/v2/predict") in prod.service.asked


def test_a_canary_gets_its_share_when_its_pods_are_ready(prod: Deployment) -> None:
    """If it fails, the mesh answers 503 for the canary's share until its first pod is ready."""
    prod.runs("mlapi", PINNED)
    assert prod.run("--yes", "--canary", OTHER).returncode == 0
    before, after = prod.applied()
    assert "name: mlapi-canary" in before
    assert "kind: VirtualService" not in before
    assert "weight: 10" in after
    lines = [call.line for call in prod.tools.all_calls()]
    ready = next(n for n, line in enumerate(lines) if "deployment/mlapi-canary" in line)
    assert any(line.endswith("/render.yaml") and " apply " in line for line in lines[ready:])


def test_routes_change_at_once_where_all_pods_are_there(prod: Deployment) -> None:
    """If it fails, every deployment is applied twice."""
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    assert len(prod.applied()) == 1


def test_a_canary_is_in_the_namespace_and_can_be_pruned(prod: Deployment) -> None:
    """If it fails, what the layer adds lands in the namespace `default` and is never found again."""
    prod.runs("mlapi", PINNED)
    assert prod.run("--yes", "--canary", OTHER).returncode == 0
    for (kind, _), one in rendered(prod).items():
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "mlapi"
        assert kind == "Namespace" or one["metadata"]["namespace"] == "mlapi"


def test_a_canary_needs_something_to_stand_beside(prod: Deployment) -> None:
    """If it fails, a canary without a stable service takes a share of nothing."""
    done = prod.run("--yes", "--canary", OTHER)
    assert done.returncode == 1
    assert "deploy first" in done.stderr
    assert prod.changes() == []


def test_a_plain_deployment_does_not_remove_a_canary(prod: Deployment) -> None:
    """If it fails, somebody's canary is gone after somebody else's deployment."""
    prod.runs("mlapi-canary", OTHER)
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert OTHER in done.stderr
    assert "--promote" in done.stderr
    assert prod.changes() == []


def test_promotion_gives_the_canarys_image_to_all_and_removes_it_afterwards(prod: Deployment) -> None:
    """If it fails, another image than the one that was watched is promoted, or the canary keeps its share."""
    prod.runs("mlapi", PINNED)
    prod.runs("mlapi-canary", OTHER)
    prod.tools.on("kubectl get configmaps,*", objects=[applied("apps/v1", "Deployment", "mlapi-canary")])
    prod.tools.on("kubectl delete deployments.apps/mlapi-canary")
    done = prod.run("--yes", "--promote")
    assert done.returncode == 0, done.stderr
    objects = rendered(prod)
    assert images(objects["Deployment", "mlapi"]) == {OTHER}
    assert ("Deployment", "mlapi-canary") not in objects
    lines = [call.line for call in prod.tools.all_calls()]
    waited = max(number for number, line in enumerate(lines) if "rollout status" in line)
    removed = next(number for number, line in enumerate(lines) if "deployments.apps/mlapi-canary" in line)
    assert waited < removed, "the canary answers until the others do"


def test_an_aborted_canary_leaves_the_stable_image(prod: Deployment) -> None:
    """If it fails, aborting a canary deploys something else."""
    prod.runs("mlapi", PINNED)
    prod.runs("mlapi-canary", OTHER)
    done = prod.run("--yes", "--abort-canary")
    assert done.returncode == 0, done.stderr
    objects = rendered(prod)
    assert images(objects["Deployment", "mlapi"]) == {PINNED}
    assert ("Deployment", "mlapi-canary") not in objects


def test_without_a_canary_there_is_nothing_to_promote_or_abort(prod: Deployment) -> None:
    """If it fails, a mistaken promotion deploys an empty image."""
    for option in ("--promote", "--abort-canary"):
        done = prod.run("--yes", option)
        assert done.returncode == 1
        assert "there is no canary" in done.stderr
        assert prod.changes() == []


def test_minikube_without_istio_takes_no_canary(dev: Deployment) -> None:
    """If it fails, a second Deployment runs that nothing routes to."""
    dev.runs("mlapi", "mlapi:dev-1")
    done = dev.run("--yes", "--canary", "mlapi:dev-2")
    assert done.returncode == 1
    assert "canary needs istio" in done.stderr
    assert dev.changes() == []


def test_a_good_render_is_remembered_with_the_one_before(prod: Deployment) -> None:
    """If it fails, there is nothing to go back to, or a repetition forgets what was before."""
    prod.remembers("current", BEFORE)
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    records = recorded(prod)
    assert records["mlapi-deploy-previous"] == BEFORE
    assert PINNED in records["mlapi-deploy-current"]
    prod.tools.forget()
    prod.remembers("current", records["mlapi-deploy-current"])
    prod.tools.on("kubectl diff")
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    assert recorded(prod) == {}


def test_a_rollback_applies_the_render_before_and_remembers_it(prod: Deployment) -> None:
    """If it fails, a rollback rolls forward, or the next one comes back to what was just left."""
    prod.remembers("previous", BEFORE)
    prod.tools.on("kubectl get configmaps,*", objects=[applied("v1", "ConfigMap", "settings-new")])
    prod.tools.on("kubectl delete configmaps/settings-new")
    done = prod.run("--yes", "--rollback")
    assert done.returncode == 0, done.stderr
    assert prod.applied() == [BEFORE]
    assert prod.tools.calls("kubectl diff")[0].files["render.yaml"] == BEFORE
    assert recorded(prod) == {"mlapi-deploy-current": BEFORE}
    assert prod.tools.calls("kubectl delete configmap mlapi-deploy-previous")
    assert prod.tools.calls("kubectl delete configmaps/settings-new")


def test_a_rollback_without_a_render_before_is_refused(prod: Deployment) -> None:
    """If it fails, a rollback applies nothing and calls it done."""
    done = prod.run("--yes", "--rollback")
    assert done.returncode == 1
    assert "remembers no render before" in done.stderr
    assert prod.changes() == []


def test_a_rollback_of_minikube_builds_nothing(dev: Deployment) -> None:
    """If it fails, going back takes minutes, or builds the image that one wants to leave."""
    dev.remembers("previous", BEFORE.replace("namespace: mlapi", "namespace: mlapi-dev"))
    done = dev.run("--yes", "--rollback")
    assert done.returncode == 0, done.stderr
    assert not dev.tools.calls("build-push.sh")
