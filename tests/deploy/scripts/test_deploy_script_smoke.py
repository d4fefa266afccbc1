"""deploy.sh where the pods run and the service does not answer, or the image is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.deployments import OTHER, PINNED, PREVIOUS
from tests.support.deploy.scripts.kubectl_answers import TIMED_OUT

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


@pytest.fixture
def unreachable(prod: Deployment) -> Deployment:
    """Production whose pods are all ready."""
    prod.tools.on("kubectl get pods -o wide", stdout="NAME   READY   STATUS\n")
    prod.tools.on("kubectl get pods go-template=*", objects=[])
    prod.tools.on("kubectl get events")
    return prod


def test_a_service_that_does_not_answer_is_a_failure(unreachable: Deployment) -> None:
    """If it fails, pods that are ready behind a wrong route count as deployed."""
    unreachable.remembers("current", PREVIOUS)
    unreachable.service.broken.add("/lab")
    done = unreachable.run("--yes", "--image", PINNED, "--smoke-timeout", "0")
    assert done.returncode == 1
    assert "https://mlapi.example.com/lab/health answers 503" in done.stderr
    assert len(unreachable.applied()) == 2


def test_a_gateway_without_address_is_a_failure(unreachable: Deployment) -> None:
    """If it fails, a gateway that never got its load balancer passes the smoke test."""
    unreachable.service.tls = None
    unreachable.tools.on("kubectl get services --namespace istio-ingress", objects=[])
    done = unreachable.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "no address yet" in done.stderr


def test_a_certificate_of_another_name_is_a_failure(unreachable: Deployment) -> None:
    """If it fails, clients refuse a service that the smoke test let pass."""
    values = unreachable.overlay / "values.yaml"
    text = values.read_text(encoding="utf-8")
    values.write_text(text.replace("mlapi.example.com", "other.example.com"), encoding="utf-8")
    unreachable.commit("another host")
    done = unreachable.run("--yes", "--image", PINNED, "--smoke-timeout", "0")
    assert done.returncode == 1
    assert "https://other.example.com/project/health: curl: (60)" in done.stderr


def test_a_port_forward_that_ends_is_a_failure(dev: Deployment) -> None:
    """If it fails, the script waits for ever for a forward that is gone."""
    dev.tools.on(
        "kubectl port-forward", stderr="error: unable to forward port because pod is not running\n", status=1
    )
    dev.tools.on("kubectl get pods go-template=*", objects=[])
    dev.tools.on("kubectl get pods wide")
    dev.tools.on("kubectl get events")
    done = dev.run("--yes")
    assert done.returncode == 1
    assert "pod is not running" in done.stderr


def test_an_image_that_cannot_be_built_changes_nothing_in_the_cluster(dev: Deployment) -> None:
    """If it fails, a broken build deploys the image of the day before."""
    dev.tools.on("build-push.sh", stderr="error: the gate refuses this model\n", status=1)
    done = dev.run("--yes")
    assert done.returncode == 1
    assert "could not be built" in done.stderr
    assert not dev.tools.calls("kubectl apply")


def test_a_minikube_whose_docker_cannot_be_used_says_what_to_do(dev: Deployment) -> None:
    """If it fails, Minikube's own error tells nothing about the way out."""
    dev.tools.on("minikube docker-env", stderr="X Exiting due to MK_USAGE\n", status=14)
    done = dev.run("--yes")
    assert done.returncode == 1
    assert "--image" in done.stderr
    assert not dev.tools.calls("build-push.sh")


def test_a_broken_service_is_told_even_without_differences(unreachable: Deployment) -> None:
    """If it fails, a repetition of a deployment calls a broken service deployed."""
    unreachable.remembers("current", PREVIOUS)
    unreachable.tools.on("kubectl diff")
    unreachable.tools.on("kubectl rollout status deployment/mlapi", stderr=TIMED_OUT, status=1)
    done = unreachable.run("--image", OTHER)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert unreachable.applied() == []


def test_a_cache_that_is_down_is_a_warning(prod: Deployment) -> None:
    """If it fails, a service runs without its cache and nobody learns of it, or is undone for it."""
    prod.service.cache = "down"
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert "warning: https://mlapi.example.com/project: the cache is down" in done.stderr
    prod.service.cache = "ok"
    assert "cache" not in prod.run("--yes", "--image", PINNED).stderr


def test_port_forwards_end_with_the_smoke_test(dev: Deployment) -> None:
    """If it fails, each deployment leaves two kubectl behind, which nobody sees and which hold ports."""
    pids = dev.folder / "pids"
    says = f"Forwarding from 127.0.0.1:{dev.service.port} -> 8000"
    dev.tools.on("kubectl port-forward", script=f'echo "$$" >>"{pids}"; echo "{says}"; exec sleep 60')
    assert dev.run("--yes").returncode == 0
    started = [int(one) for one in pids.read_text(encoding="utf-8").split()]
    assert len(started) == 2
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
