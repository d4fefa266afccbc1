"""The container that holds a pod's network and volumes while its own containers come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.engine import unique

if TYPE_CHECKING:
    from tests.support.deploy.engine import Container, Engine
    from tests.support.deploy.pods.spec import PodSpec
    from tests.support.deploy.pods.volumes import Volumes


def start_holder(
    engine: Engine, spec: PodSpec, volumes: Volumes, *, name: str, network: str, tools: str
) -> Container:
    """Start the holder of a pod, with all its volumes filled.

    Every port that a container of the pod names is published on 127.0.0.1, for the probes and the tests: not
    every engine's networks can be reached from the machine that it runs on.

    Args:
        engine: That runs it.
        spec: The pod.
        volumes: The pod's.
        name: The pod's own, which is its host name.
        network: The engine's network for all pods.
        tools: An image with `sleep`, `sh` and `tar`.
    """
    ports = {port for container in spec.containers for port in container.ports.values()}
    published = [part for port in sorted(ports) for part in ("--publish", f"127.0.0.1::{port}")]
    holder = engine.start(
        tools,
        *("--pull", "never", "--network", network, "--hostname", name, "--user", "0"),
        *published,
        *volumes.create(),
        *("--entrypoint", "sleep"),
        command=("infinity",),
        name=unique(name),
    )
    volumes.fill(holder)
    return holder
