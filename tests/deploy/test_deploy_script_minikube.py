"""deploy.sh dev: Minikube, the image that is built inside it, and the password of its Redis."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import yaml

from tests.support.deploy.deployments import BUILT

if TYPE_CHECKING:
    from tests.support.deploy.deployments import Deployment


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
