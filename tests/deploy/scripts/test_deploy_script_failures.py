"""deploy.sh where a rollout fails: what it shows, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploy.scripts.deployments import PINNED, PREVIOUS
from tests.support.deploy.scripts.kubectl_answers import PAST_DEADLINE, TIMED_OUT, applied

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment

WARNING = "LAST SEEN   TYPE   REASON   OBJECT   MESSAGE\n2m   Warning   BackOff   pod/mlapi-7d9   Back-off\n"
LOG = "[pod/mlapi-7d9/mlapi] the model's digest differs from the manifest's\n"


def pod(name: str, *, ready: bool, restarts: int = 0) -> dict[str, Any]:
    """Return a pod as the cluster has it."""
    status = {
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}],
        "containerStatuses": [
            {"name": "proxy", "restartCount": 0},
            {"name": "mlapi", "restartCount": restarts},
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": status}


@pytest.fixture
def failing(prod: Deployment) -> Deployment:
    """Production, where one pod crashes and another has no node."""
    on = prod.tools.on
    nowhere = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mlapi-nowhere"},
        "status": {"phase": "Pending"},
    }
    on("kubectl get pods -o wide", stdout="NAME   READY   STATUS\n")
    on(
        "kubectl get pods go-template=*",
        objects=[pod("mlapi-good", ready=True), pod("mlapi-7d9", ready=False, restarts=4), nowhere],
    )
    on("kubectl get events", stdout=WARNING)
    on("kubectl logs", stdout=LOG)
    on("kubectl delete settings-after")
    return prod


@pytest.mark.parametrize("error", [TIMED_OUT, PAST_DEADLINE])
def test_a_failed_rollout_shows_events_and_logs_and_brings_the_previous_render_back(
    failing: Deployment, error: str
) -> None:
    """If it fails, production stays half rolled out, or nobody sees why it was rolled back."""
    failing.remembers("current", PREVIOUS)
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=error, status=1, first=1)
    done = failing.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert error in done.stderr
    assert "Back-off" in done.stdout
    assert "digest differs" in done.stdout
    assert "the previous one runs again" in done.stderr
    new, old = failing.applied()
    assert PINNED in new
    assert list(yaml.safe_load_all(old)) == list(yaml.safe_load_all(PREVIOUS))
    assert len(failing.tools.calls("kubectl rollout status deployment/mlapi")) == 2
    assert failing.service.asked, "the previous one is asked, too"
    assert not failing.tools.calls("kubectl apply *record.yaml"), "what failed is not remembered as good"
    assert failing.tools.calls("kubectl delete configmap mlapi-deploy-lock")


def test_only_pods_that_are_not_ready_show_their_logs(failing: Deployment) -> None:
    """If it fails, the reason drowns in other logs, or a crashed container's last words are missing."""
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1)
    failing.run("--yes", "--image", PINNED)
    read = [
        (call.arguments[5], "--previous" in call.arguments) for call in failing.tools.calls("kubectl logs")
    ]
    assert read == [("mlapi-7d9", False), ("mlapi-7d9", True), ("mlapi-nowhere", False)]
    assert "--container mlapi " in failing.tools.calls("kubectl logs --previous")[0].line


def test_nothing_that_may_hold_a_secret_is_shown(failing: Deployment) -> None:
    """If it fails, a failed rollout prints environments or manifests into the log of CI."""
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1)
    failing.run("--yes", "--image", PINNED)
    assert not failing.tools.calls("kubectl describe")
    asked = failing.tools.calls("kubectl get")
    assert asked
    assert not [
        call.line
        for call in asked
        if {"yaml", "json", "-oyaml", "-ojson", "secret", "secrets"} & set(call.arguments)
    ]


def test_without_an_earlier_render_it_says_so_and_leaves_things_as_they_are(failing: Deployment) -> None:
    """If it fails, a first deployment that fails leaves nothing to look at, or claims to have gone back."""
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1)
    done = failing.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "remembers no earlier render" in done.stderr
    assert len(failing.applied()) == 1
    assert [call.arguments[-2] for call in failing.tools.calls("kubectl delete")] == ["mlapi-deploy-lock"]


def test_a_previous_render_that_fails_too_is_said(failing: Deployment) -> None:
    """If it fails, the script reports a rollback that did not work."""
    failing.remembers("current", PREVIOUS)
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1)
    done = failing.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "does not come up either" in done.stderr
    assert "runs again" not in done.stderr


def test_what_only_the_failed_render_has_is_removed_with_it(failing: Deployment) -> None:
    """If it fails, objects of a render that was rolled back stay in the cluster."""
    failing.remembers("current", PREVIOUS)
    both = [applied("v1", "ConfigMap", "settings-before"), applied("v1", "ConfigMap", "settings-after")]
    failing.tools.on("kubectl get configmaps,*", objects=both)
    failing.tools.on("kubectl delete configmaps/settings-after")
    failing.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1, first=1)
    assert failing.run("--yes", "--image", PINNED).returncode == 1
    assert len(failing.tools.calls("kubectl delete configmaps/settings-after")) == 1
    assert not failing.tools.calls("kubectl delete configmaps/settings-before")


def test_an_apply_that_fails_half_way_is_undone(failing: Deployment) -> None:
    """If it fails, an object that the server refuses leaves the others in a mixture of old and new."""
    failing.remembers("current", PREVIOUS)
    refusal = "Error from server (Forbidden): admission webhook denied the request\n"
    failing.tools.on("kubectl apply *render.yaml", stderr=refusal, status=1)
    done = failing.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "admission webhook" in done.stderr
    assert "the previous one runs again" in done.stderr
