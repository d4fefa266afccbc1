"""What deploy.sh refuses of what it is given: components, images, arguments, a second run meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.deployments import OTHER, PINNED, refused
from tests.support.deploy.scripts.kubectl_answers import EXISTS, running

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


def edit(deployment: Deployment, old: str, new: str) -> None:
    """Change the overlay's kustomization, as its owner would, and commit that."""
    file = deployment.overlay / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    deployment.commit("overlay")


def test_components_that_exclude_each_other_are_refused(prod: Deployment) -> None:
    """If it fails, two components fight over one field in production."""
    edit(prod, "transformers:", "  - ../../components/keda\n  - ../../components/schedule\ntransformers:")
    done = prod.run("--yes", "--image", PINNED)
    refused(prod, done, "keda and schedule exclude each other: ", "do not go together")


def test_a_component_without_what_it_needs_is_refused(prod: Deployment) -> None:
    """If it fails, a component is applied that does nothing."""
    edit(prod, "  - ../../components/redis-auth\n", "")
    refused(prod, prod.run("--yes", "--image", PINNED), "external-secrets needs redis-auth")


def test_components_in_the_wrong_order_are_refused(prod: Deployment) -> None:
    """If it fails, a component does not find what it is meant to change."""
    edit(prod, "  - ../../components/hpa\n", "")
    edit(prod, "transformers:", "  - ../../components/hpa # late\ntransformers:")
    refused(prod, prod.run("--yes", "--image", PINNED), "must stand before")


@pytest.mark.parametrize(
    "image",
    ["registry.example/mlapi:1.2", "registry.example/mlapi", f"{PINNED[:-1]}", f"{PINNED}0", "mlapi@sha256:"],
)
def test_production_takes_no_image_that_is_not_pinned(prod: Deployment, image: str) -> None:
    """If it fails, a tag that is pushed anew gives the pods of one rollout different images."""
    refused(prod, prod.run("--yes", "--image", image), "is not pinned")


def test_production_takes_no_canary_that_is_not_pinned(prod: Deployment) -> None:
    """If it fails, the canary that was watched is not what is promoted."""
    prod.runs("mlapi", PINNED)
    refused(prod, prod.run("--yes", "--canary", "registry.example/mlapi:next"), "is not pinned")


def test_production_without_an_image_says_how_to_get_one(prod: Deployment) -> None:
    """If it fails, the placeholder of the manifests is deployed."""
    refused(prod, prod.run("--yes"), "build-push.sh", "--image")


def test_an_image_of_another_service_needs_a_version(prod: Deployment) -> None:
    """If it fails, a restart of Redis may bring another Redis."""
    edit(prod, "    newTag: ", "    newTag: latest # ")
    refused(prod, prod.run("--yes", "--image", PINNED), "redis:latest", "not pinned")


def test_two_deployments_at_once_are_refused(prod: Deployment) -> None:
    """If it fails, two people undo each other's rollout."""
    prod.tools.on("kubectl create configmap mlapi-deploy-lock", stderr=EXISTS, status=1)
    prod.tools.on("kubectl get configmap mlapi-deploy-lock", stdout="ann on laptop, 2026-11-21T10:00:00Z")
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "ann on laptop" in done.stderr
    assert "delete configmap mlapi-deploy-lock" in done.stderr
    assert prod.applied() == []
    assert not prod.tools.calls("kubectl delete"), "the other's lock stays"


def test_a_deployment_that_ended_meanwhile_is_noticed(prod: Deployment) -> None:
    """If it fails, who waited for somebody's deployment goes by what ran before it, and undoes it."""
    prod.runs("mlapi", OTHER)
    prod.tools.on("kubectl get deployment mlapi", objects=[running("mlapi", PINNED)], first=1)
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "another deployment has ended meanwhile" in done.stderr
    assert prod.applied() == []
    assert prod.tools.calls("kubectl delete configmap mlapi-deploy-lock")


@pytest.mark.parametrize("other", [("--image", "mlapi:mine"), ("--canary", "mlapi:mine"), ("--rollback",)])
def test_a_model_for_an_image_that_is_there_already_is_wrong_use(
    dev: Deployment, other: tuple[str, ...]
) -> None:
    """If it fails, another model than the one that was named is deployed, without a word."""
    refused(dev, dev.run("--model", "starter", *other), "--model", status=2)


def test_differences_that_cannot_be_told_stop_everything(prod: Deployment) -> None:
    """If it fails, manifests that the server refuses are applied all the same."""
    refusal = 'Error from server (BadRequest): Deployment in version "v1" cannot be handled\n'
    prod.tools.on("kubectl diff", stderr=refusal, status=2)
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 1
    assert "kubectl diff failed with status 2" in done.stderr
    assert prod.applied() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--unknown",),
        ("staging",),
        ("dev",),
        ("--image",),
        ("--canary", OTHER, "--promote"),
        ("--promote", "--image", PINNED),
        ("--canary-weight", "10"),
        ("--model", "starter"),
        ("--canary", OTHER, "--canary-weight", "101"),
        ("--canary", OTHER, "--canary-weight", "ten"),
        ("--timeout", "1m"),
        ("--smoke-timeout", ""),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_asked(prod: Deployment, arguments: tuple[str, ...]) -> None:
    """If it fails, a misspelt option deploys something else."""
    refused(prod, prod.run(*arguments), "see --help", status=2)
    assert prod.tools.all_calls() == []


def test_a_timeout_below_the_progress_deadline_is_refused(prod: Deployment) -> None:
    """If it fails, the script gives up and rolls back while Kubernetes is still trying."""
    refused(prod, prod.run("--yes", "--image", PINNED, "--timeout", "600"), "progressDeadlineSeconds, 600")


def test_help_tells_every_option(dev: Deployment) -> None:
    """If it fails, an option exists that nobody can find."""
    done = dev.run("--help")
    assert done.returncode == 0
    text = (dev.clone / "deploy.sh").read_text(encoding="utf-8")
    options = {word.rstrip(")") for word in text.split() if word.startswith("--") and word.endswith(")")}
    assert len(options) > 10
    assert {one for one in options if one not in done.stdout} == set()
    assert "shellcheck" not in done.stdout
