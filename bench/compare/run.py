"""Rounds in which all contestants are measured at one point before any is measured at the next."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.compare.drive import Drive
from bench.compare.material import Material
from bench.compare.results import Failure, Run
from bench.load.generator import LoadError
from bench.peers.processes import awake, stop
from bench.peers.server import PeerError, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.compare.contestants import Contestant
    from bench.compare.points import Point
    from bench.compare.results import Results
    from bench.peers.server import RunningServer

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
    """Measure all contestants, round by round.

    All of them are started; then, at each point, one after the other is measured while the rest is stopped
    (SIGSTOP), so that a machine that becomes slower or faster does so for all of them alike. The first one is
    another each time.

    Args:
        contestants: In the order of the first point. One that does not start is not tried again.
        model: Its directory.
        vocabulary: Of the model.
        messages: Real ones; None: made up.
        points: What to measure in each round.
        rounds: How many.
        seconds: Length of a window.
        results: Is added to; rounds that it has already are not measured again.
        save: Called after each point and each round.
    """
    for number in range(1, rounds + 1):
        left = [
            each
            for each in contestants
            if not results.has(each.name, number) and not _gave_up(results, each.name)
        ]
        if not left:
            continue
        begun = time.monotonic()
        material = Material(number, messages=messages, vocabulary=vocabulary)
        with contextlib.ExitStack() as stack:
            this = _Round(number, results)
            for contestant in left:
                _tell(f"round {number} of {rounds}: starting {contestant.name}")
                this.start(contestant, model, material, seconds=seconds, stack=stack)
            for turn, point in enumerate(points):
                if not this.entrants:
                    break
                _tell(f"round {number} of {rounds}: {point}")
                this.measure(point, first=number - 1 + turn)
                save()
            this.finish()
        save()
        _tell(f"round {number} took {time.monotonic() - begun:.0f} s")


def _gave_up(results: Results, name: str) -> bool:
    return any(each.contestant == name and each.where == START for each in results.failures)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class _Entrant:
    name: str
    server: RunningServer
    drive: Drive


class _Round:
    """One round.

    Attributes:
        entrants: The contestants that are running, in the order of their start.
    """

    def __init__(self, number: int, results: Results) -> None:
        self._number = number
        self._results = results
        self.entrants: list[_Entrant] = []

    def start(
        self,
        contestant: Contestant,
        model: Path,
        material: Material,
        *,
        seconds: float,
        stack: contextlib.ExitStack,
    ) -> None:
        """Start one contestant, warm it and stop it; keep what goes wrong. The stack ends it."""
        stack.enter_context(self._keeping_errors(contestant.name))
        with self._keeping_errors(contestant.name):
            server = stack.enter_context(running(contestant.peer, contestant.python, model))
            drive = Drive(contestant.peer, server, material, number=self._number, seconds=seconds)
            drive.warm_up()
            stop(server.pid)
            self.entrants.append(_Entrant(contestant.name, server, drive))

    def measure(self, point: Point, *, first: int) -> None:
        """Measure all at one point; one that has ended is in no later one.

        Args:
            point: The point.
            first: Place of the contestant that begins, counted on beyond the last. There must be one.
        """
        begin = first % len(self.entrants)
        for entrant in [*self.entrants[begin:], *self.entrants[:begin]]:
            try:
                with awake(entrant.server.pid):
                    window = entrant.drive.measure(point, failed=self._failure_of(entrant.name))
            except (LoadError, OSError) as error:
                self._failed(entrant.name, f"{point}, and all that follow", str(error))
                self.entrants.remove(entrant)
                continue
            if window is not None:
                self._results.windows.append(window)

    def finish(self) -> None:
        """Note that the round has come to its end."""
        for entrant in self.entrants:
            with self._keeping_errors(entrant.name):
                memory_mb = entrant.drive.memory_mb()
                self._results.runs.append(Run(entrant.name, self._number, entrant.server.ready_s, memory_mb))

    @contextlib.contextmanager
    def _keeping_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (PeerError, LoadError, OSError) as error:
            self._failed(name, START, str(error))

    def _failure_of(self, name: str) -> Callable[[Point, str], None]:
        return lambda point, error: self._failed(name, str(point), error)

    def _failed(self, name: str, where: str, error: str) -> None:
        _tell(f"  {name}, {where}: {error}")
        self._results.failures.append(Failure(name, self._number, where, error))
