"""build-push.sh among recording stand-ins for docker, aws, make and mlapi."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.support.deploy.scripts.standins import StandIns

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.deploy.scripts.checkout import Checkout

ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = f"sha256:{'5a' * 32}"
PUSHED = f"""The push refers to repository [{ECR}/mlapi]
8a7b6c5d4e3f: Layer already exists
tag: digest: {DIGEST} size: 2203
"""


def build_stand_ins(folder: Path, checkout: Checkout) -> StandIns:
    """Return an engine that builds and pushes, an account that may, and environments that are there."""
    stand_ins = StandIns(folder)
    stand_ins.on("make")
    for environment in (".venv", ".venv-torch"):
        (checkout.path / environment / "bin").mkdir(parents=True)
        stand_ins.tool("mlapi", checkout.path / environment / "bin" / "mlapi")
    stand_ins.on("mlapi model verify", "ok    manifest\n")
    stand_ins.on("docker info", "Server Version: 28.2.2\n")
    stand_ins.on("docker version", "linux/amd64\n")
    stand_ins.on("docker build", stderr="naming to docker.io/library/mlapi\n")
    stand_ins.on("docker push", PUSHED)
    # As documented: the password is read from standard input, and never an argument.
    stand_ins.on("docker login", script='grep -qx secret-of-the-test && echo "Login Succeeded"')
    stand_ins.on("aws ecr get-login-password", "secret-of-the-test\n")
    return stand_ins


def run(
    checkout: Checkout, tools: StandIns, *arguments: str, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run build-push.sh among the stand-ins."""
    done = checkout.run("build-push.sh", *arguments, environment=tools.environment(), answer=answer)
    tools.no_surprises()
    return done


def build_call(tools: StandIns) -> tuple[str, ...]:
    """Return the arguments of the one build."""
    (call,) = tools.calls("docker build")
    return call.arguments


def after(arguments: tuple[str, ...], option: str) -> list[str]:
    """Return what an option was given, each time that it stands there."""
    return [value for name, value in pairwise(arguments) if name == option]
