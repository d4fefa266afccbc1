"""Install the peers and check that each starts, answers as the service does, and ends.

    python -m bench.peers [NAME …] [--model DIRECTORY]

Prints a table: how long each took to its first correct answer, that answer, or the exact error. Ends with
status 1 if any of them failed. Linux only.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers.catalogue import PEERS
from bench.peers.install import InstallError, install
from bench.peers.server import PeerError, running
from bench.signals import interrupt_when_told_to_stop

if TYPE_CHECKING:
    from bench.peers.peer import Peer

FULL = Path("build/bench/full")


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one peer.

    Attributes:
        name: The peer's.
        state: `runs`, `not installed` or `does not run`.
        ready_s: From its start to the first correct answer; None where there was none.
        told: The first answer, or the error.
    """

    name: str
    state: str
    ready_s: float | None
    told: str


def main(arguments: list[str] | None = None) -> int:
    """Check the named ones, or all, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PEERS)}; by default all")
    parser.add_argument("--model", type=Path, default=FULL, help=f"model directory, by default {FULL}")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in PEERS]:
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    interrupt_when_told_to_stop()
    checked = []
    for name in options.names or PEERS:
        print(f"{name} …", file=sys.stderr, flush=True)
        checked.append(check(PEERS[name], options.model))
    print(table(checked))
    return int(any(peer.state != "runs" for peer in checked))


def check(peer: Peer, model: Path) -> Checked:
    """Install a peer, start it, hold its answers against the manifest's, and end it."""
    try:
        environment = install(peer)
    except InstallError as error:
        return Checked(peer.name, "not installed", None, str(error))
    try:
        with running(peer, environment.python, model) as server:
            pass
    except PeerError as error:
        return Checked(peer.name, "does not run", None, str(error))
    told = ", ".join(f"{label} {score:.4f}" for label, score in server.first)
    return Checked(peer.name, "runs", server.ready_s, told)


def table(checked: list[Checked]) -> str:
    """Return a Markdown table, and below it the errors in full."""
    rows = ["| peer | state | ready, s | first answer |", "|---|---|---|---|"]
    errors = []
    for peer in checked:
        seconds, told = "", "see below"
        if peer.ready_s is not None:
            seconds, told = f"{peer.ready_s:.1f}", peer.told
        else:
            errors.append(f"\n{peer.name} {peer.state}:\n\n{peer.told}")
        rows.append(f"| {peer.name} | {peer.state} | {seconds} | {told} |")
    return "\n".join([*rows, *errors])


if __name__ == "__main__":
    sys.exit(main())
