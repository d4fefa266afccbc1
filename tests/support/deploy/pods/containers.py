"""One container of a pod: started with the engine as its manifest says."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deploy.engine import EngineError, unique
from tests.support.deploy.fields import UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.deploy.engine import Container, Engine
    from tests.support.deploy.pods.containers_spec import ContainerSpec, Security
    from tests.support.deploy.pods.probes import Exec, HttpGet

MESSAGE_BYTES = 4096
LOG_MESSAGE_BYTES, LOG_MESSAGE_LINES = 2048, 80
"""How much of a termination message, and of a log in its place, the kubelet keeps."""

EXEC_S = 2.0
"""What the `docker` command may take to start another one in a container, which a kubelet does faster."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended.

    Attributes:
        name: Its name in the pod.
        status: Its exit status; 128 and the signal's number where one ended it.
        reason: `Completed`, `Error` or `OOMKilled`.
        message: Its termination message.
        log: All that it wrote.
        seconds: How long it ran.
    """

    name: str
    status: int
    reason: str
    message: str
    log: str
    seconds: float


class RunningContainer:
    """One run of a container; a restart is another one.

    Attributes:
        spec: What the manifest says.
        container: As the engine knows it.
    """

    def __init__(
        self,
        engine: Engine,
        spec: ContainerSpec,
        *,
        image: str,
        holder: Container,
        variables: Mapping[str, str],
        mounts: tuple[str, ...],
    ) -> None:
        """Start it.

        Args:
            engine: That runs it.
            spec: What the manifest says.
            image: The image's name in the engine.
            holder: Whose network it shares.
            variables: Its environment, resolved.
            mounts: The engine's options for its volumes.
        """
        self.spec = spec
        self._engine = engine
        self._holder = holder
        options = [
            *("--pull", "never", "--network", f"container:{holder.name}"),
            *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
            *mounts,
            *_security(engine, spec.security, image),
            *_limits(spec),
        ]
        command = spec.arguments or ()
        if spec.command:
            options += ["--entrypoint", spec.command[0]]
            command = (*spec.command[1:], *command)
        self._files = tempfile.TemporaryDirectory(prefix="mlapi-test-")
        self._message = Path(self._files.name) / "message"
        self._message.touch()
        self._message.chmod(0o666)
        options += ["--mount", f"type=bind,source={self._message},destination={spec.message_path}"]
        try:
            self.container = engine.start(image, *options, command=command, name=unique(spec.name))
        except EngineError:
            self._files.cleanup()
            raise

    def wait(self) -> Ended:
        """Wait until it ends by itself or is stopped, remove it, and tell how it ended."""
        status = self.container.wait(patience_s=3600)
        seconds = time.monotonic() - self.container.started
        log = self.container.logs()
        killed = self.container.state()["OOMKilled"]
        message = self._message.read_text("utf-8", errors="replace")[:MESSAGE_BYTES]
        if not message and status != 0 and self.spec.message_from_log:
            message = "\n".join(log.splitlines()[-LOG_MESSAGE_LINES:])[-LOG_MESSAGE_BYTES:]
        reason = "OOMKilled" if killed else "Error" if status else "Completed"
        self.remove()
        return Ended(self.spec.name, status, reason, message, log, seconds)

    def get(self, action: HttpGet, timeout_s: float) -> int:
        """Ask as a probe and return the HTTP status; OSError or HTTPException where none comes in time."""
        port = self.spec.ports[action.port] if isinstance(action.port, str) else action.port
        published = self._holder.published(port)
        with closing(http.client.HTTPConnection("127.0.0.1", published, timeout=timeout_s)) as connection:
            connection.request(
                "GET", action.path, headers={"User-Agent": "kube-probe", "Connection": "close"}
            )
            return connection.getresponse().status

    def execute(self, action: Exec, timeout_s: float) -> int:
        """Run a probe's command and return its exit status; TimeoutError where it does not end in time."""
        command = ("exec", self.container.name, *action.command)
        try:
            return self._engine.try_run(*command, timeout_s=timeout_s + EXEC_S).returncode
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def stop(self, grace_s: int) -> None:
        """Ask it to end, and end it when the grace is over."""
        self._engine.try_run("stop", "--time", str(grace_s), self.container.name, timeout_s=grace_s + 60)

    def remove(self) -> None:
        """End it if it runs, and remove what is left of it."""
        self._engine.try_run("rm", "--force", "--volumes", self.container.name)
        self._files.cleanup()


def _security(engine: Engine, security: Security, image: str) -> list[str]:
    options: list[str] = []
    if security.uid is not None:
        group = "" if security.gid is None else f":{security.gid}"
        options += ["--user", f"{security.uid}{group}"]
    elif security.gid is not None:
        raise UnimplementedError("runAsGroup without runAsUser is not implemented")
    if security.non_root:
        given = engine.inspect(image)["Config"]["User"] if security.uid is None else security.uid
        user = str(given).partition(":")[0]
        if not user.isdigit() or int(user) == 0:
            raise UnimplementedError(f"runAsNonRoot: the kubelet does not start {image} as user {user!r}")
    if security.read_only_root:
        options.append("--read-only")
    if not security.escalation:
        options += ["--security-opt", "no-new-privileges"]
    if not security.seccomp:
        options += ["--security-opt", "seccomp=unconfined"]
    return options + [part for name in security.dropped for part in ("--cap-drop", name)]


def _limits(spec: ContainerSpec) -> list[str]:
    limits, options = spec.resources, []
    if limits.memory is not None:
        # As much with swap as without: pods have none.
        options += ["--memory", str(limits.memory), "--memory-swap", str(limits.memory)]
    if limits.cpus is not None:
        options += ["--cpus", f"{limits.cpus:g}"]
    if limits.cpu_request is not None:
        options += ["--cpu-shares", str(max(2, int(limits.cpu_request * 1024)))]
    return options
