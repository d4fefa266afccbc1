"""Who takes part: this project's service as it starts by default, and the peers."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare.results import Failure
from bench.load.request import Request
from bench.peers.install import InstallError, install
from bench.peers.peer import Peer, Scores, pins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peers.install import Environment

NAME = "mlapi"
OWN_LIBRARIES = ("openvino", "tokenizers", "fastapi", "uvicorn")


class Service(Peer):
    """`mlapi serve` of this checkout."""

    def command(self, python: Path, model: Path, port: int) -> list[str]:
        """Return what starts it with its defaults."""
        return [str(python), "-m", "mlapi", "serve", "--model", str(model.absolute()), "--port", str(port)]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server that is measured.

    Attributes:
        peer: How it is started and asked.
        python: The interpreter that starts it.
        libraries: Name and version of what it is made of.
        installed: All that is in its environment, as `pip freeze` writes it, where it has one of its own.
    """

    peer: Peer
    python: Path
    libraries: dict[str, str] = field(default_factory=dict)
    installed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Short and unique."""
        return self.peer.name

    def to_json(self) -> dict[str, object]:
        """Return what the report says of it."""
        return {
            "name": self.name,
            "title": self.peer.title,
            "engine": self.peer.engine,
            "configuration": list(self.peer.configuration),
            "source": self.peer.source,
            "libraries": self.libraries,
            "installed": list(self.installed),
        }


def _request(text: str) -> Request:
    return Request("/project/predict", json.dumps({"text": text}).encode())


def _bulk(texts: Sequence[str]) -> Request:
    return Request("/project/bulk-predict", json.dumps({"text": list(texts)}).encode(), texts=len(texts))


def _scores(body: bytes) -> Scores:
    return [(each["label"], each["score"]) for each in json.loads(body)["prediction"]]


SERVICE = Service(
    name=NAME,
    title="this service",
    engine="openvino int8",
    environment="",
    program="",
    request=_request,
    scores=_scores,
    configuration=(
        "`mlapi serve` with its defaults: one process, batches as they come, cache in the process on",
        "MLAPI_DRAIN_GRACE_S=0, so that it ends at once",
    ),
    source="README.md",
    bulk=_bulk,
    environ={"MLAPI_DRAIN_GRACE_S": "0"},
)


def gather(
    peers: Sequence[Peer], *, python: Path | None, make: Callable[[Peer], Environment] = install
) -> tuple[list[Contestant], list[Failure]]:
    """Return who takes part, this service first, and which peers could not be installed.

    Args:
        peers: To install, or to start as they are.
        python: Has everything that all peers need; None: each gets its environment, made if it is not there.
        make: Makes it. Raises InstallError.
    """
    libraries = {name: version(name) for name in OWN_LIBRARIES}
    found = [Contestant(SERVICE, Path(sys.executable), libraries)]
    failures = []
    for peer in peers:
        if python is not None:
            found.append(Contestant(peer, python))
            continue
        print(f"environment of {peer.name}", file=sys.stderr, flush=True)
        try:
            environment = make(peer)
        except InstallError as error:
            failures.append(Failure(peer.name, 0, "installation", str(error)))
            continue
        installed = tuple(environment.freeze.splitlines())
        found.append(Contestant(peer, environment.python, pins(peer.requirements), installed))
    return found, failures
