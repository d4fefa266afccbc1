"""The container engine, through the `docker` command: found, or the test is skipped and says why.

    engine = find_engine()
    with engine.running(image, "--cpus", "1") as container:
        container.wait_for_log("listening")

Everything made here has a name with the prefix `mlapi-test-` and is removed afterwards.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.image.container import PATIENCE_S, Container, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PATIENCE_S", "Container", "Engine", "EngineError", "buildkit_client", "find_engine", "unique"]

PREFIX = "mlapi-test-"


def unique(purpose: str) -> str:
    """Return a name that nothing else has, for a container, a network, a volume or an image."""
    return f"{PREFIX}{purpose}-{uuid.uuid4().hex[:12]}"


@functools.cache
def _why_there_is_none() -> str | None:
    if shutil.which("docker") is None:
        return "there is no docker command on PATH"
    asked = subprocess.run(
        ["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return f"no container engine answers: {(asked.stderr or asked.stdout).strip()[:200]}"
    return None


@functools.cache
def buildkit_client() -> str | None:
    """Return a client that builds with BuildKit; newer ones need a plugin, and several may be on PATH."""
    for folder in os.get_exec_path():
        client = shutil.which("docker", path=folder)
        asked = client and subprocess.run(
            [client, "build", "--help"],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            check=False,
        )
        if asked and asked.returncode == 0:
            return client
    return None


def find_engine() -> Engine:
    """Return the engine, or skip the test."""
    if (reason := _why_there_is_none()) is not None:
        pytest.skip(reason)
    return Engine()


class Engine:
    """Commands of one engine."""

    def try_run(
        self,
        *arguments: str,
        timeout_s: float = 600,
        environment: Mapping[str, str] | None = None,
        client: str = "docker",
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGUMENTS`, or another client, and return what came of it, failed or not."""
        return subprocess.run(
            [client, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, **(environment or {})},
        )

    def run(
        self, *arguments: str, timeout_s: float = 600, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run `docker ARGUMENTS` and return its standard output, stripped.

        Raises:
            EngineError: The command failed.
        """
        done = self.try_run(*arguments, timeout_s=timeout_s, environment=environment)
        if done.returncode != 0:
            raise EngineError(
                f"docker {' '.join(arguments)} ended with status {done.returncode}:\n"
                f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )
        return done.stdout.strip()

    def inspect(self, name: str) -> Any:
        """Return what the engine knows of a container, image, network or volume."""
        return json.loads(self.run("inspect", name))[0]

    def has_image(self, name: str) -> bool:
        """Whether an image is here, without asking any registry."""
        return self.try_run("image", "inspect", name).returncode == 0

    def need_image(self, name: str) -> None:
        """Skip the test where an image is neither here nor can be pulled."""
        if self.has_image(name):
            return
        pulled = self.try_run("pull", name)
        if pulled.returncode != 0:
            pytest.skip(
                f"the base image {name} is not here and cannot be pulled: {pulled.stderr.strip()[:200]}"
            )

    def start(self, image: str, *options: str, command: tuple[str, ...] = (), name: str = "") -> Container:
        """Start a container in the background; whoever calls removes it."""
        name = name or unique("container")
        started = time.monotonic()
        self.run("run", "--detach", "--name", name, *options, image, *command)
        return Container(self, name, started)

    @contextmanager
    def running(self, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
        """Run a container in the background, and remove it in the end."""
        name = unique("container")
        try:
            yield self.start(image, *options, command=command, name=name)
        finally:
            self.try_run("rm", "--force", "--volumes", name)

    @contextmanager
    def network(self, *options: str) -> Iterator[str]:
        """Make a network of the test's own."""
        name = unique("network")
        self.run("network", "create", *options, name)
        try:
            yield name
        finally:
            self.try_run("network", "rm", name)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """Make a volume of the test's own."""
        name = unique("volume")
        self.run("volume", "create", name)
        try:
            yield name
        finally:
            self.try_run("volume", "rm", "--force", name)
