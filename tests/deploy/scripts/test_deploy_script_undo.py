"""deploy.sh and `kubectl rollout undo`: what the pods of before need stays for one render more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from tests.support.deploy.scripts.deployments import PINNED
from tests.support.deploy.scripts.kubectl_answers import applied

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


def config_map(name: str) -> str:
    """Return a render with a ConfigMap."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: mlapi\n"


def deleted(prod: Deployment) -> list[str]:
    """Return what was deleted, but for what the script itself keeps."""
    calls = prod.tools.calls("kubectl delete")
    return [call.arguments[-2] for call in calls if "configmap" not in call.arguments]


def test_what_the_pods_of_before_read_stays_for_one_render_more(prod: Deployment) -> None:
    """If it fails, `kubectl rollout undo` brings back pods whose ConfigMap is gone, and they never start."""
    both = [
        applied("v1", "ConfigMap", "redis-config-before"),
        applied("v1", "ConfigMap", "redis-config-older"),
    ]
    prod.remembers("previous", config_map("redis-config-older"))
    prod.remembers("current", config_map("redis-config-before"))
    prod.tools.on("kubectl get configmaps,*", objects=both)
    prod.tools.on("kubectl delete configmaps/redis-config-older")
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    assert deleted(prod) == ["configmaps/redis-config-older"]


def test_a_repetition_keeps_what_the_render_before_names(prod: Deployment) -> None:
    """If it fails, the second of two runs deletes what the first has kept."""
    assert prod.run("--yes", "--image", PINNED).returncode == 0
    (record,) = prod.tools.calls("kubectl apply *record.yaml")
    prod.tools.forget()
    prod.remembers("current", yaml.safe_load(record.files["record.yaml"])["data"]["render.yaml"])
    prod.remembers("previous", config_map("redis-config-before"))
    prod.tools.on("kubectl get configmaps,*", objects=[applied("v1", "ConfigMap", "redis-config-before")])
    prod.tools.on("kubectl diff")
    done = prod.run("--image", PINNED)
    assert "no differences" in done.stdout, done.stderr
    assert deleted(prod) == []


def test_a_render_before_that_cannot_be_read_stops_everything(prod: Deployment) -> None:
    """If it fails, a cluster that does not answer once is taken for one without a render before."""
    prod.tools.on("kubectl get configmap mlapi-deploy-current", stderr="error: timeout\n", status=1)
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert prod.applied() == []
