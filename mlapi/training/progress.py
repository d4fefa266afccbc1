"""Telling the user how far a training run is: a moving bar on a terminal, a line per evaluation elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console


class TrainingProgress:
    """A context in which a training run reports its stages and steps."""

    def __init__(self, console: Console) -> None:
        """Report to a console, which knows whether it is a terminal."""
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=None, best="")
        self._stage = ""
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bar, on a terminal."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def stage(self, name: str) -> None:
        """Begin a stage: the bar starts anew, and lines about evaluations name it."""
        self._stage = f"{name}, "
        self._began = time.monotonic()
        self._bar.reset(self._task, description=name, total=None, best="")

    def step(self, what: str) -> None:
        """Begin something that has no steps to count."""
        self.stage(what)
        self.say(what)

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def at(self, step: int, total: int) -> None:
        """Set how many steps of how many are done."""
        self._bar.update(self._task, completed=step, total=total)

    def evaluated(self, *, epoch: float, loss: float, accuracy: float, best: float) -> None:
        """Report one evaluation.

        Args:
            epoch: Epochs done, with fractions.
            loss: Mean training loss since the last evaluation.
            accuracy: On dev, from 0 to 1.
            best: The best so far.
        """
        self._bar.update(self._task, best=f"best on dev {best:.2%}")
        seconds = time.monotonic() - self._began
        self.say(
            f"{self._stage}epoch {epoch:.2f}: loss {loss:.4f}, dev {accuracy:.2%}, best {best:.2%} "
            f"({seconds:.0f} s)"
        )
