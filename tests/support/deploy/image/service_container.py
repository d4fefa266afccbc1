"""The service's image in a container, locked up as in a pod: read-only root, its uid, no capability, limits.

with running_service(engine, image, cpus=1) as service:
    service.client.post("/predict", json={"text": "a good film"})
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from tests.support.deploy.engine import PATIENCE_S, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.deploy.engine import Container, Engine

PORT = 8000
LOCKED_UP = (
    *("--user", "10001:10001", "--read-only", "--tmpfs", "/tmp:size=64m,mode=1777"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "256"),
)
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class ServiceContainer:
    """A service that is ready.

    Attributes:
        container: That it runs in.
        client: Whose paths start under the prefix.
        origin: Scheme, host and port.
        ready_s: Seconds from the command that started it to its first healthy answer.
    """

    container: Container
    client: httpx.Client
    origin: str
    ready_s: float

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        lines = httpx.get(f"{self.origin}/metrics").raise_for_status().text.splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith(f"{name} "))
        return float(value)


@contextmanager
def running_service(
    engine: Engine,
    image: str,
    *options: str,
    cpus: float = 2,
    memory: str = "1g",
    prefix: str = "/project",
    variables: Mapping[str, str] | None = None,
) -> Iterator[ServiceContainer]:
    """Run the service until the block ends.

    Args:
        engine: That runs it.
        image: Its name.
        options: More of `docker run`.
        cpus: The quota.
        memory: The limit; there is no swap beyond it.
        prefix: Under which its routes are.
        variables: Of its environment.

    Raises:
        EngineError: It did not become ready.
    """
    named = [part for pair in (variables or {}).items() for part in ("--env", "=".join(pair))]
    limits = ("--cpus", f"{cpus:g}", "--memory", memory, "--memory-swap", memory)
    publish = ("--publish", f"127.0.0.1::{PORT}")
    with engine.running(image, *LOCKED_UP, *limits, *publish, *named, *options) as container:
        origin = f"http://127.0.0.1:{container.published(PORT)}"
        with httpx.Client(base_url=f"{origin}{prefix}", timeout=PATIENCE_S) as client:
            _wait_until_healthy(container, client)
            yield ServiceContainer(container, client, origin, time.monotonic() - container.started)


def _wait_until_healthy(container: Container, client: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not _is_healthy(client):
        if time.monotonic() > deadline or not container.state()["Running"]:
            raise EngineError(f"{container.name} did not become ready:\n{container.logs()[-4000:]}")
        time.sleep(LOOK_EVERY_S)


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False  # the port is forwarded before anything listens behind it
