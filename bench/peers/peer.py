"""What the comparison knows of one server: how to start it, ask it, and read its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.load.request import Request

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = Path(__file__).with_name("environments")
WORK = REPOSITORY / "build" / "bench" / "peers"
"""Where environments, the folders that peers read, and logs are kept."""

Scores = list[tuple[str, float]]
"""Labels with their probabilities; a server that tells the best label alone gives one pair."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to compare with.

    Attributes:
        name: Short and unique; names its log and its folder.
        title: For people.
        engine: What computes, and in which precision.
        environment: Of `environments/NAME.txt`; several peers may share one.
        program: Module in `bench.peers.servers` that starts it.
        request: Makes the request for one text.
        scores: Reads the answer to that request. Raises ValueError, LookupError or TypeError when it is none.
        configuration: Lines for the report: what was set, and why.
        source: URL of the documentation that recommends it.
        bulk: Makes one request for many texts; None where the server has no such route.
        bulk_scores: Reads the answer to that, in the order of the texts; None leaves it unchecked.
        truncates: Whether it cuts texts that are longer than the model reads; otherwise they are an error.
        options: More arguments of the program.
        environ: Variables on top of `COMMON_ENVIRON`.
    """

    name: str
    title: str
    engine: str
    environment: str
    program: str
    request: Callable[[str], Request]
    scores: Callable[[bytes], Scores]
    configuration: tuple[str, ...]
    source: str
    bulk: Callable[[Sequence[str]], Request] | None = None
    bulk_scores: Callable[[bytes], list[Scores]] | None = None
    truncates: bool = True
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def requirements(self) -> Path:
        """The file of its environment's pinned projects."""
        return ENVIRONMENTS / f"{self.environment}.txt"

    def folder(self, port: int) -> Path:
        """Return where a run keeps its files; two at once have two ports."""
        return WORK / "folders" / f"{self.name}-{port}"

    def command(self, python: Path, model: Path, port: int) -> list[str]:
        """Return what starts it, in the repository's root, listening on 127.0.0.1.

        Args:
            python: The interpreter of its environment.
            model: The model directory.
            port: A free one.
        """
        program = [str(python), "-m", f"bench.peers.servers.{self.program}"]
        places = ["--model", str(model.absolute()), "--folder", str(self.folder(port))]
        return [*program, *places, "--port", str(port), *self.options]


def pins(requirements: Path) -> dict[str, str]:
    """Read `name==version` lines; comments and empty lines are skipped.

    Raises:
        ValueError: A line pins nothing.
    """
    found = {}
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if not (text := line.partition("#")[0].strip()):
            continue
        if not (match := re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z0-9,-]+\])?==([0-9][0-9a-z.+]*)", text)):
            raise ValueError(f"{requirements}: {text!r} is not NAME==VERSION")
        found[match[1]] = match[2]
    return found
