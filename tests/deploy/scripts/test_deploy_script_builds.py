"""deploy.sh dev with the real build-push.sh: the two scripts agree on options, names and the engine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.support.deploy.scripts.checkout import BUILD_INPUTS
from tests.support.deploy.scripts.deployments import BUILT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.scripts.deployments import Deployment

MINIKUBE = {"DOCKER_HOST": "tcp://192.168.49.2:2376"}


def complete(deployment: Deployment, starter: Path) -> None:
    """Put into the clone what an image is built from."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in BUILD_INPUTS:
        place = deployment.clone / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / name, place)
    shutil.copytree(starter, deployment.clone / "models" / "starter")
    (deployment.clone / "build-push.sh.home").unlink()
    deployment.commit("all that is built")
    folder = deployment.clone / ".venv" / "bin"
    folder.mkdir(parents=True)
    deployment.tools.tool("mlapi", folder / "mlapi")


def test_what_build_push_builds_inside_minikube_is_what_is_deployed(
    dev: Deployment, tiny_model: Path
) -> None:
    """If it fails, build-push.sh refuses what deploy.sh asks, or they mean different images or engines."""
    complete(dev, tiny_model)
    dev.tools.on("make")
    dev.tools.on("mlapi model verify", "ok    manifest\n")
    dev.tools.on("docker info", "Server Version: 28.2.2\n")
    dev.tools.on("docker version", "linux/amd64\n")
    dev.tools.on("docker build", stderr="naming to docker.io/library/mlapi\n")
    done = dev.run("--yes")
    assert done.returncode == 0, done.stderr
    (build,) = dev.tools.calls("docker build")
    (inspected,) = dev.tools.calls("docker image inspect")
    names = [
        name for option, name in zip(build.arguments, build.arguments[1:], strict=False) if option == "--tag"
    ]
    assert inspected.arguments[-1] in names
    assert dev.tools.calls("docker tag")[0].arguments == ("tag", inspected.arguments[-1], BUILT)
    assert {tuple(call.environment.items()) for call in dev.tools.calls("docker")} == {
        tuple(MINIKUBE.items())
    }
    assert not dev.tools.calls("docker push")
