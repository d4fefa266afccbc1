"""scripts/clean-dev.sh against stand-ins for minikube and kubectl."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.support.deploy.scripts.deployments import Deployment

IMAGES = """registry.k8s.io/pause:3.10
docker.io/library/redis:7-bookworm
docker.io/library/mlapi:latest
docker.io/library/mlapi:dev-0123456789ab
docker.io/somebody/mlapi:1
"""


@pytest.fixture
def deployed(dev: Deployment) -> Deployment:
    """A Minikube in which deploy.sh has been at work."""
    folder = dev.generated / "dev"
    folder.mkdir(parents=True)
    (folder / "redis-password").write_text("secret", encoding="utf-8")
    (dev.generated / "image").write_text("registry.example/mlapi@sha256:0\n", encoding="utf-8")
    dev.tools.on("minikube image ls", stdout=IMAGES)
    dev.tools.on("minikube image rm")
    dev.tools.on("kubectl delete namespace")
    return dev


def clean(dev: Deployment, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script of the clone."""
    return dev.script("scripts/clean-dev.sh", *arguments, answer=answer)


def lines(dev: Deployment, words: str) -> list[str]:
    """Return the calls that fit, as one would type them."""
    return [call.line for call in dev.tools.calls(words)]


def test_namespace_images_and_layer_go_and_minikube_stays(deployed: Deployment) -> None:
    """If it fails, something of ours stays in a Minikube that is somebody else's, or their work goes too."""
    done = clean(deployed, "--yes")
    assert done.returncode == 0, done.stderr
    assert lines(deployed, "kubectl") == [
        "kubectl --context minikube delete namespace mlapi-dev --ignore-not-found"
    ]
    assert lines(deployed, "minikube image rm") == [
        "minikube --profile minikube image rm docker.io/library/mlapi:latest",
        "minikube --profile minikube image rm docker.io/library/mlapi:dev-0123456789ab",
    ]
    assert not deployed.tools.calls("minikube delete")
    assert not (deployed.generated / "dev").exists()
    assert (deployed.generated / "image").exists(), "what production was pushed from is not of dev"


@pytest.mark.parametrize("status", [0, 7])
def test_a_profile_that_deploy_made_is_deleted(deployed: Deployment, status: int) -> None:
    """If it fails, a Minikube that nobody asked for goes on running."""
    (deployed.generated / "dev" / "made-profile").write_text("minikube\n", encoding="utf-8")
    deployed.tools.on("minikube status", status=status)
    deployed.tools.on("minikube delete")
    assert clean(deployed, "--yes").returncode == 0
    assert lines(deployed, "minikube delete") == ["minikube --profile minikube delete"]
    assert not (deployed.generated / "dev").exists()


def test_another_profile_than_the_one_that_was_made_is_kept(deployed: Deployment) -> None:
    """If it fails, a profile is deleted that deploy.sh did not make."""
    (deployed.generated / "dev" / "made-profile").write_text("minikube\n", encoding="utf-8")
    assert clean(deployed, "--yes", "--context", "mine").returncode == 0
    assert not deployed.tools.calls("minikube delete")
    assert lines(deployed, "kubectl") == [
        "kubectl --context mine delete namespace mlapi-dev --ignore-not-found"
    ]


def test_that_another_profile_was_made_is_not_forgotten(deployed: Deployment) -> None:
    """If it fails, cleaning up one profile leaves another for good, which deploy.sh made and may delete."""
    made = deployed.generated / "dev" / "made-profile"
    made.write_text("mine\nminikube\n", encoding="utf-8")
    deployed.tools.on("minikube delete")
    assert clean(deployed, "--yes", "--context", "mine").returncode == 0
    assert lines(deployed, "minikube delete") == ["minikube --profile mine delete"]
    assert made.read_text(encoding="utf-8") == "minikube\n"
    assert not (deployed.generated / "dev" / "redis-password").exists()
    assert clean(deployed, "--yes").returncode == 0
    assert lines(deployed, "minikube delete")[1:] == ["minikube --profile minikube delete"]
    assert not (deployed.generated / "dev").exists()


def test_it_can_be_repeated(deployed: Deployment) -> None:
    """If it fails, a second run ends with an error about what is gone."""
    assert clean(deployed, "--yes").returncode == 0
    deployed.tools.on("minikube image ls", stdout="registry.k8s.io/pause:3.10\n")
    assert clean(deployed, "--yes").returncode == 0


def test_without_a_profile_the_files_go(deployed: Deployment) -> None:
    """If it fails, what is left of a deleted Minikube cannot be removed."""
    deployed.tools.on("minikube status", status=85)
    assert clean(deployed).returncode == 0
    assert not (deployed.generated / "dev").exists()
    assert not deployed.tools.calls("kubectl")


def test_a_stopped_minikube_is_said(deployed: Deployment) -> None:
    """If it fails, the password is gone and the Redis that wants it is still there."""
    deployed.tools.on("minikube status", status=7)
    done = clean(deployed, "--yes")
    assert done.returncode == 1
    assert "start" in done.stderr
    assert (deployed.generated / "dev" / "redis-password").exists()


def test_no_means_that_nothing_is_removed(deployed: Deployment) -> None:
    """If it fails, the question is no question."""
    assert clean(deployed, answer="n\n").returncode == 1
    assert not deployed.tools.calls("kubectl")
    assert (deployed.generated / "dev" / "redis-password").exists()


def test_a_dry_run_removes_nothing(deployed: Deployment) -> None:
    """If it fails, looking at what would be removed removes it."""
    done = clean(deployed, "--dry-run", "--yes")
    assert done.returncode == 0, done.stderr
    assert "would run: kubectl --context minikube delete namespace mlapi-dev" in done.stdout
    assert "would run: minikube --profile minikube image rm docker.io/library/mlapi:latest" in done.stdout
    assert not deployed.tools.calls("kubectl")
    assert not deployed.tools.calls("minikube image rm")
    assert (deployed.generated / "dev" / "redis-password").exists()
