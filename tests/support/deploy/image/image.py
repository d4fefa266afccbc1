"""The project's own image, built by the engine that is here; layers that are there already are used again."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.support.deploy.engine import EngineError, buildkit_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.deploy.engine import Engine

REPOSITORY = Path(__file__).resolve().parents[4]
TAG = "mlapi-test-image"
Builder = Literal["classic", "buildkit"]


def build(
    engine: Engine,
    tag: str,
    *,
    target: str = "runtime",
    context: Path = REPOSITORY,
    builder: Builder = "classic",
    arguments: Mapping[str, str] | None = None,
) -> str:
    """Build an image from the Dockerfile and return what the build printed.

    The host's network is used, because not every engine lends its own to builds.

    Args:
        engine: That builds.
        tag: Name of the image.
        target: Stage to build.
        context: Folder that has the Dockerfile.
        builder: `classic`, or BuildKit.
        arguments: Build arguments.

    Raises:
        EngineError: The build failed.
    """
    engine.need_image(base_image(context))
    client = "docker" if builder == "classic" else buildkit_client()
    if client is None:
        pytest.skip("no docker client on PATH builds with BuildKit: install docker-buildx")
    named = [part for name, value in (arguments or {}).items() for part in ("--build-arg", f"{name}={value}")]
    done = engine.try_run(
        *("build", "--network", "host", "--target", target, "--tag", tag, *named, str(context)),
        environment={"DOCKER_BUILDKIT": str(int(builder == "buildkit")), "BUILDKIT_PROGRESS": "plain"},
        timeout_s=1200,
        client=client,
    )
    if done.returncode != 0:
        raise EngineError(f"the build of {tag} failed:\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done.stdout + done.stderr


@functools.cache
def base_image(context: Path = REPOSITORY) -> str:
    """Return the image that the Dockerfile starts from."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (context / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert found, "the Dockerfile has no line ARG PYTHON_IMAGE=…"
    return found[1]


def torch_version() -> str:
    """Return the version that pyproject.toml asks for, which is its only place."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    (pin,) = (pin for pin in project["optional-dependencies"]["torch"] if pin.startswith("torch=="))
    return str(pin).removeprefix("torch==")


@functools.cache
def runtime_image(engine: Engine) -> str:
    """Return the name of the image with the committed starter model, built once a session."""
    build(engine, f"{TAG}:runtime")
    return f"{TAG}:runtime"
