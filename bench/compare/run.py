"""Rounds in which every contestant has its turn, each alone on the machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.compare.drive import Drive
from bench.compare.material import Material
from bench.compare.results import Failure, Run
from bench.load.generator import LoadError
from bench.peers.server import PeerError, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.compare.contestants import Contestant
    from bench.compare.points import Point
    from bench.compare.results import Results

START = "start"


def compare(
    contestants: Sequence[Contestant],
    *,
    model: Path,
    vocabulary: int,
    messages: Sequence[str] | None,
    points: Sequence[Point],
    rounds: int,
    seconds: float,
    results: Results,
    save: Callable[[], None],
) -> None:
    """Measure all contestants, round by round; the first of a round is another one each time.

    Args:
        contestants: In the order of the first round. One that does not start is not tried again.
        model: Its directory.
        vocabulary: Of the model.
        messages: Real ones; None: made up.
        points: What to measure in each round.
        rounds: How many.
        seconds: Length of a window.
        results: Is added to; rounds that it has already are not measured again.
        save: Called after each contestant's turn, and when one is broken off.
    """
    for number in range(1, rounds + 1):
        material = Material(number, messages=messages, vocabulary=vocabulary)
        first = (number - 1) % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            if results.has(contestant.name, number) or _gave_up(results, contestant.name):
                continue
            begun = time.monotonic()
            print(f"round {number} of {rounds}: {contestant.name}", file=sys.stderr, flush=True)
            try:
                _turn(contestant, model, material, points, number=number, seconds=seconds, results=results)
            finally:
                save()
            print(f"  {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def _gave_up(results: Results, name: str) -> bool:
    return any(each.contestant == name and each.where == START for each in results.failures)


def _turn(
    contestant: Contestant,
    model: Path,
    material: Material,
    points: Sequence[Point],
    *,
    number: int,
    seconds: float,
    results: Results,
) -> None:
    """Start one contestant, warm it, measure it, end it; keep what goes wrong with it."""

    def failed(where: object, error: str) -> None:
        print(f"  {where}: {error}", file=sys.stderr, flush=True)
        results.failures.append(Failure(contestant.name, number, str(where), error))

    started = False
    try:
        with running(contestant.peer, contestant.python, model) as server:
            started = True
            drive = Drive(contestant.peer, server, material, number=number, seconds=seconds)
            drive.warm_up()
            for window in drive.measure(points, failed=failed):
                results.windows.append(window)
            results.runs.append(Run(contestant.name, number, server.ready_s, drive.memory_mb()))
    except PeerError as error:
        failed(START, str(error))
    except (LoadError, OSError) as error:
        failed("the middle of the round" if started else START, str(error))
