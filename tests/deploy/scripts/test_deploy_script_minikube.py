"""deploy.sh dev: Minikube, the image that is built inside it, and the password of its Redis."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy.scripts.deployments import BUILT, refused

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


def test_the_image_is_built_inside_minikube_and_named_by_its_content(dev: Deployment) -> None:
    """If it fails, Minikube does not have the image, or an unchanged one causes a new rollout."""
    assert dev.run("--yes").returncode == 0
    (build,) = dev.tools.calls("build-push.sh --no-push")
    assert build.environment == {"DOCKER_HOST": "tcp://192.168.49.2:2376"}
    (tag,) = dev.tools.calls("docker tag")
    assert tag.arguments[1:] == ("mlapi:0000000", BUILT)
    assert tag.environment == {"DOCKER_HOST": "tcp://192.168.49.2:2376"}
    assert all(not call.environment for call in dev.tools.calls("kubectl"))
    assert {f"image: {BUILT}"} == {
        line.strip() for line in dev.applied()[-1].splitlines() if line.strip().startswith("image: mlapi")
    }


def test_an_image_that_is_given_is_not_built(dev: Deployment) -> None:
    """If it fails, nobody can deploy an image to Minikube that was loaded there already."""
    assert dev.run("--yes", "--image", "mlapi:mine").returncode == 0
    assert not dev.tools.calls("build-push.sh")
    assert "image: mlapi:mine" in dev.applied()[-1]


def test_a_dry_run_does_not_start_minikube(dev: Deployment) -> None:
    """If it fails, looking at a plan starts a cluster."""
    dev.tools.on("minikube status", status=7)
    dev.tools.on("kubectl api-versions", stderr="error: connection refused\n", status=1)
    done = dev.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would run: minikube --profile minikube start" in done.stdout
    assert dev.changes() == []


def test_minikube_is_started_where_it_is_stopped_and_made_where_there_is_none(dev: Deployment) -> None:
    """If it fails, a developer has to know Minikube first, or its runtime cannot build the image."""
    dev.tools.on("minikube start")
    for status, made in ((7, False), (2, False), (85, True)):
        dev.tools.forget()
        dev.tools.on("minikube status", status=status)
        assert dev.run("--yes").returncode == 0
        (start,) = dev.tools.calls("minikube start")
        assert ("--container-runtime=docker" in start.arguments) is made
        assert (dev.generated / "dev" / "made-profile").exists() is made


def test_the_password_of_redis_is_made_once_and_shown_nowhere(dev: Deployment) -> None:
    """If it fails, the password changes at every run, or can be read in a log, render or record."""
    first = dev.run("--yes")
    assert first.returncode == 0, first.stderr
    file = dev.generated / "dev" / "redis-password"
    password = file.read_text(encoding="utf-8")
    assert len(password) == 48
    second = dev.run("--yes")
    assert file.read_text(encoding="utf-8") == password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    records = [text for call in dev.tools.calls("kubectl apply *record.yaml") for text in call.files.values()]
    renders = [path.read_text(encoding="utf-8") for path in (dev.generated / "dev" / "renders").iterdir()]
    assert records, "there is a record"
    assert renders, "there is a render"
    secrets = [one for one in yaml.safe_load_all(dev.applied()[-1]) if one["kind"] == "Secret"]
    encoded = secrets[0]["data"]["password"]
    assert secrets[0]["metadata"]["name"] == "redis-auth"
    for text in (first.stdout, first.stderr, second.stdout, second.stderr, *records, *renders):
        assert password not in text
        assert encoded not in text


def test_the_password_reaches_service_and_redis_as_a_mounted_file(dev: Deployment) -> None:
    """If it fails, Minikube's Redis is open to the namespace, or the service is refused by it."""
    assert dev.run("--yes").returncode == 0
    objects = list(yaml.safe_load_all(dev.applied()[-1]))
    for one in (one for one in objects if one["kind"] == "Deployment"):
        volumes = one["spec"]["template"]["spec"]["volumes"]
        assert {"name": "redis-auth", "secret": {"secretName": "redis-auth"}} in volumes
    (secret,) = (one for one in objects if one["kind"] == "Secret")
    assert secret["metadata"]["namespace"] == "mlapi-dev"
    assert secret["metadata"]["labels"]["app.kubernetes.io/part-of"] == "mlapi"


def secret_of(dev: Deployment) -> str:
    """Return the password that was applied last."""
    (secret,) = (one for one in yaml.safe_load_all(dev.applied()[-1]) if one["kind"] == "Secret")
    return base64.b64decode(secret["data"]["password"]).decode()


@pytest.mark.parametrize("kept", ["", "another"], ids=["a fresh clone", "a password of another cluster"])
def test_the_password_that_redis_runs_with_is_taken_from_the_cluster(dev: Deployment, kept: str) -> None:
    """If it fails, a second clone changes the Secret under Redis, which goes by the old one: no cache."""
    password = "in-the-cluster"
    encoded = base64.b64encode(password.encode()).decode()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "redis-auth"},
        "data": {"password": encoded},
    }
    dev.tools.on("kubectl get secret redis-auth", objects=[secret])
    (dev.generated / "dev").mkdir(parents=True)
    (dev.generated / "dev" / "redis-password").write_text(kept, encoding="utf-8")
    done = dev.run("--yes")
    assert done.returncode == 0, done.stderr
    assert secret_of(dev) == password
    assert password not in done.stdout + done.stderr
    assert encoded not in done.stdout + done.stderr
    assert not dev.tools.calls("kubectl rollout restart")


def test_a_redis_that_runs_without_the_new_password_is_restarted(dev: Deployment) -> None:
    """If it fails, who deletes the Secret to get another password gets a service without a cache."""
    assert dev.run("--yes").returncode == 0
    lines = [call.line for call in dev.tools.all_calls()]
    restarted = next(n for n, line in enumerate(lines) if line.endswith("rollout restart deployment/redis"))
    assert any("rollout status" in line for line in lines[restarted:])
    assert lines[restarted - 1].endswith("/render.yaml"), "after the Secret is there"


def test_a_redis_that_is_new_is_not_restarted(dev: Deployment) -> None:
    """If it fails, every first deployment starts Redis twice."""
    dev.tools.on("kubectl get deployments", objects=[])
    assert dev.run("--yes").returncode == 0
    assert not dev.tools.calls("kubectl rollout restart")


def test_a_password_that_cannot_be_read_changes_nothing(dev: Deployment) -> None:
    """If it fails, an error of the cluster is taken for a Redis without a password, and makes a new one."""
    dev.tools.on("kubectl get secret redis-auth", stderr="Error from server (Forbidden)\n", status=1)
    done = dev.run("--yes", "--image", "mlapi:mine")
    refused(dev, done, "does not tell the password")


def test_minikube_with_containerd_is_refused_although_it_speaks_docker(dev: Deployment) -> None:
    """If it fails, the image is built by a program that only resembles Docker."""
    dev.tools.on("kubectl get nodes", stdout="containerd://2.1.4 ")
    dev.tools.on("minikube docker-env", stdout='export DOCKER_HOST="ssh://docker@127.0.0.1:49157"\n')
    done = dev.run("--yes")
    refused(dev, done, "is containerd://2.1.4 and not Docker", "image load", "--image")


def test_a_canary_of_minikube_is_asked_too(dev: Deployment) -> None:
    """If it fails, a canary that never answers is called deployed."""
    overlay, values = dev.overlay / "kustomization.yaml", dev.overlay / "values.yaml"
    text = overlay.read_text(encoding="utf-8")
    overlay.write_text(f"{text}components:\n  - ../../components/istio\n", encoding="utf-8")
    more = {
        "host": "mlapi.test",
        "gateway": "istio-ingress/public",
        "gatewayPrincipal": "a",
        "monitoringNamespace": "b",
    }
    lines = "".join(f'  {key}: "{value}"\n' for key, value in more.items())
    values.write_text(values.read_text(encoding="utf-8") + lines, encoding="utf-8")
    dev.commit("istio")
    dev.runs("mlapi", "mlapi:dev-1")
    done = dev.run("--yes", "--canary", "mlapi:dev-2")
    assert done.returncode == 0, done.stderr
    asked = [call.arguments[-2] for call in dev.tools.calls("kubectl port-forward")]
    assert asked == ["service/mlapi", "service/lab", "service/mlapi-canary"]
    assert [path for method, _, path in dev.service.asked if method == "POST"] == [
        "/project/predict",
        "/lab/predict",
        "/project/predict",
    ]
