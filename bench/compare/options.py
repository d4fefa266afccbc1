"""The command line of the comparison."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.compare.points import WORKLOADS
from bench.model import SIZES
from bench.options import positive
from bench.peers.catalogue import PEERS

SECONDS, QUICK_SECONDS = 3.0, 2.0
ROUNDS = 3


def parse(arguments: list[str] | None, *, description: str) -> argparse.Namespace:
    """Read the arguments; None: those of the process."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=description)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="by default all")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--texts", type=Path, help=".csv or .tsv with a column of messages, or one a line")
    parser.add_argument("--rounds", type=positive, help=f"by default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"length of a window, by default {SECONDS:g}")
    parser.add_argument("--quick", action="store_true", help="one round, fewer points, shorter windows")
    parser.add_argument("--size", choices=SIZES, default="full", help="of the model")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="where the model is kept")
    parser.add_argument("--python", type=Path, help="starts all peers; without it each gets its environment")
    parser.add_argument("--json", type=Path, help="write all windows to this file, after each turn")
    parser.add_argument("--resume", action="store_true", help="go on from what --json has")
    parser.add_argument("--markdown", type=Path, help="write the tables between this file's markers")
    parser.add_argument("--plots", type=Path, help="draw pictures in this folder")
    parser.add_argument("--report", type=Path, help="measure nothing: write tables and plots from this JSON")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    if options.resume and not options.json:
        parser.error("--resume needs --json")
    return options
