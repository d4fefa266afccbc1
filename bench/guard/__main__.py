"""Tell in a minute whether the service became much slower: against the plain pipeline, within one run.

    make bench-guard
    make bench-guard ARGS='--set max_batch_texts=1'

Runs the service and the pipeline as tutorials write it on the model that the repository carries, and a route
that returns a constant. Ends with status 1 when a ratio is outside its margin twice in a row. Needs torch.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from bench.guard.margins import judge
from bench.guard.measure import MODEL, Turns, measure
from bench.markdown import table
from bench.service.bench import spread
from bench.service.servers import mlapi
from bench.signals import interrupt_when_told_to_stop
from bench.verdict import verdict_table

if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the service, such as max_batch_texts=1, to see whether the guard notices",
    )
    options = parser.parse_args(arguments)
    interrupt_when_told_to_stop()
    service = partial(mlapi, MODEL, **dict(options.set))
    return guard(lambda: measure(service(), rounds=options.rounds, seconds=options.seconds))


def guard(run: Callable[[], Turns]) -> int:
    """Judge a run, and when it is red a second one instead of it, because a machine has bad moments.

    Returns:
        The exit status: 0, or 1 when the second run is red as well.
    """
    if not _outside(run()):
        print("bench-guard: passed")
        return 0
    print("bench-guard: outside its margin, see above; measuring once more", flush=True)
    if outside := _outside(run()):
        print(f"bench-guard: FAILED twice, at last: {'; '.join(outside)}")
        return 1
    print("bench-guard: passed at the second attempt")
    return 0


def _outside(turns: Turns) -> list[str]:
    """Print a run and return what is outside its margin."""
    verdicts = judge(turns)
    print(turns_table(turns), verdict_table(verdicts), sep="\n\n")
    return [verdict.what for verdict in verdicts if not verdict.reached]


def turns_table(turns: Turns) -> str:
    """Write throughput and CPU by server."""
    rows = ((name, spread(turns.per_s[name]), spread(turns.cpu_ms[name])) for name in turns.per_s)
    return table(("", "requests/s", "server CPU per request, ms"), rows)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
