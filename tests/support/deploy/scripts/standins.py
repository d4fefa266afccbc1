"""Recording stand-ins for commands: executables, first on PATH, that replay what the real ones would say.

    tools = StandIns(tmp_path / "bin")
    tools.on("kubectl diff", stdout="+ replicas: 2", status=1)
    tools.on("kubectl kustomize", real=True)
    subprocess.run(["./deploy.sh"], env=tools.environment())
    tools.no_surprises()
    assert tools.calls("kubectl apply")[0].files["render.yaml"] == ...

Each call is recorded with its arguments, the files it was given with `-f` (they may be gone later), and the
variables of the container engine. A call that no rule expects is an error of its own: the tool fails, and so
does `no_surprises`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAYER = Path(__file__).with_name("standin_player.py")
#: How a stand-in exits when nobody expects its call.
UNEXPECTED = 97


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a stand-in.

    Attributes:
        tool: The name it was called by.
        arguments: What came after.
        files: Text of the files that `-f` named, by file name.
        environment: Those variables that redirect a container engine.
        expected: Whether a rule fitted.
    """

    tool: str
    arguments: tuple[str, ...]
    files: Mapping[str, str]
    environment: Mapping[str, str]
    expected: bool

    @property
    def line(self) -> str:
        """The call as one would type it."""
        return " ".join([self.tool, *self.arguments])

    def fits(self, words: str) -> bool:
        """Whether tool and words stand in the call, in this order, with others between."""
        tool, *wanted = words.split()
        rest = iter(self.arguments)
        return tool == self.tool and all(any(fnmatchcase(one, word) for one in rest) for word in wanted)


@dataclass(slots=True)
class StandIns:
    """A folder of stand-ins.

    Attributes:
        folder: Where they lie; made if need be.
        hidden: Real commands that are not to be found, though this machine has them.
    """

    folder: Path
    hidden: set[str] = field(default_factory=set)
    _rules: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def tool(self, name: str, path: Path | None = None) -> Path:
        """Make a stand-in, in the folder or at a path of its own, and return where it lies."""
        place = path or self.folder / name
        # -I -S: without site-packages Python starts in half the time
        text = PLAYER.read_text(encoding="utf-8")
        place.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        place.chmod(0o755)
        Path(f"{place}.home").write_text(str(self.folder), encoding="utf-8")
        return place

    def on(
        self,
        words: str,
        stdout: str = "",
        *,
        stderr: str = "",
        status: int = 0,
        hold: bool = False,
        real: bool = False,
        script: str = "",
        first: int = 0,
        objects: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Say how a call is answered. A later rule wins over an earlier one that also fits.

        Args:
            words: The tool and words of the call, in their order; others may stand between them. A `*` is one
                as in a shell.
            stdout: What it prints.
            stderr: What it prints there.
            status: How it exits.
            hold: Whether it then waits to be ended, as a port forward does.
            real: Whether the machine's own command does it instead.
            script: What bash does instead, with the call's arguments as its own.
            first: For the first so many fitting calls only; 0 for all.
            objects: What `kubectl get` finds: the real kubectl puts them into the template of the call.
        """
        tool, *wanted = words.split()
        if not tool.endswith(".sh") and not (self.folder / tool).exists():
            self.tool(tool)
        command = shutil.which(tool) if real or objects is not None else None
        self._rules.append(
            {
                "tool": tool,
                "words": wanted,
                "stdout": stdout,
                "stderr": stderr,
                "status": status,
                "hold": hold,
                "real": command if real else None,
                "objects": None if objects is None else [dict(one) for one in objects],
                "templates": command,
                "script": script,
                "first": first,
            }
        )
        self._write()

    def environment(self) -> dict[str, str]:
        """Return an environment in which the stand-ins are found before the machine's commands."""
        return {**os.environ, "PATH": f"{self.folder}{os.pathsep}{self._remaining_path()}"}

    def calls(self, words: str) -> list[Call]:
        """Return the calls that fit, in their order."""
        return [call for call in self.all_calls() if call.fits(words)]

    def all_calls(self) -> list[Call]:
        """Return all calls, in their order."""
        log = self.folder / "calls.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [Call(**{**one, "arguments": tuple(one["arguments"])}) for one in map(json.loads, lines)]

    def forget(self) -> None:
        """Forget the calls made up to now."""
        (self.folder / "calls.jsonl").unlink(missing_ok=True)

    def no_surprises(self) -> None:
        """Fail where a call was made that no rule expects."""
        surprises = [call.line for call in self.all_calls() if not call.expected]
        assert not surprises, "calls that nothing expected:\n" + "\n".join(surprises)

    def _remaining_path(self) -> str:
        """Return PATH, or where commands are to be hidden a folder of links to all others."""
        if not self.hidden:
            return os.environ["PATH"]
        links = self.folder.with_name(f"{self.folder.name}-others")
        links.mkdir(exist_ok=True)
        for directory in os.environ["PATH"].split(os.pathsep):
            for command in Path(directory).glob("*"):
                link = links / command.name
                if command.name not in self.hidden and not link.is_symlink():
                    link.symlink_to(command)
        return str(links)

    def _write(self) -> None:
        (self.folder / "rules.json").write_text(json.dumps(self._rules), encoding="utf-8")
