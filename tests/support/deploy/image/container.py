"""One container: what it says, how it is, how it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.engine import Engine

PATIENCE_S = 60


class EngineError(AssertionError):
    """A command of the engine failed; the message has its output."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started.

    Attributes:
        engine: That runs it.
        name: Its name.
        started: When it was asked for, by the monotonic clock.
    """

    engine: Engine
    name: str
    started: float

    def logs(self) -> str:
        """Return both its outputs so far."""
        done = self.engine.try_run("logs", self.name)
        return done.stdout + done.stderr

    def state(self) -> Any:
        """Return `Running`, `ExitCode`, `OOMKilled` and the rest of its state."""
        return self.engine.inspect(self.name)["State"]

    def process(self) -> int:
        """Return its first process's id on the engine's machine."""
        return int(self.state()["Pid"])

    def execute(self, *command: str, options: tuple[str, ...] = ()) -> str:
        """Run a command inside it and return its standard output."""
        return self.engine.run("exec", *options, self.name, *command)

    def address(self) -> str:
        """Return its address on the first network that it is in."""
        networks = self.engine.inspect(self.name)["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def published(self, port: int) -> int:
        """Return the port of this machine at which one of its own was published."""
        bound = self.engine.inspect(self.name)["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return int(bound[0]["HostPort"])

    def wait_for_log(self, part: str, *, patience_s: float = PATIENCE_S) -> str:
        """Wait until its outputs hold a piece of text and return them."""
        deadline = time.monotonic() + patience_s
        while part not in (written := self.logs()):
            state = self.state()
            if not state["Running"] or time.monotonic() > deadline:
                raise EngineError(
                    f"{part!r} is not in the outputs of {self.name}, {state}:\n{written[-4000:]}"
                )
            time.sleep(0.05)
        return written

    def wait(self, *, patience_s: float = PATIENCE_S) -> int:
        """Wait until it has ended and return its exit status."""
        return int(self.engine.run("wait", self.name, timeout_s=patience_s))

    def signal(self, name: str) -> None:
        """Send its first process a signal."""
        self.engine.run("kill", "--signal", name, self.name)

    def stop(self, *, patience_s: int = PATIENCE_S) -> int:
        """End it as an orchestrator does, by SIGTERM and in the end by SIGKILL; return its exit status."""
        self.engine.run("stop", "--time", str(patience_s), self.name, timeout_s=patience_s + 30)
        return int(self.state()["ExitCode"])

    def copy_out(self, inside: str, outside: Path) -> None:
        """Copy a file or folder out of it."""
        self.engine.run("cp", f"{self.name}:{inside}", str(outside))
