"""Telling the user how far an export is: a clock beside each step on a terminal, a line a step elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console


class Watcher(Protocol):
    """Is told how far an export is."""

    def step(self, what: str) -> None:
        """Something that takes a while begins; what was before is done."""
        ...

    def say(self, line: str) -> None:
        """Something is worth knowing."""
        ...


class Silent:
    """Tells no one."""

    def step(self, what: str) -> None:
        """Ignore it."""

    def say(self, line: str) -> None:
        """Ignore it."""


class ExportProgress:
    """A context in which an export reports its steps."""

    def __init__(self, console: Console) -> None:
        """Report to a console, which knows whether it is a terminal."""
        self._console = console
        self._bar = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            # Steps silence the libraries' output by redirecting it; the bar must not do the same below them.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Show the steps, on a terminal."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the steps as they stand."""
        if kind is None:
            self._finish()
        self._bar.stop()

    def step(self, what: str) -> None:
        """Begin a step; the one before is done."""
        self._finish()
        self._bar.add_task(what, total=1)
        if not self._console.is_terminal:
            self.say(what)

    def say(self, line: str) -> None:
        """Print a line, above the steps where they are shown."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _finish(self) -> None:
        for task in self._bar.tasks:
            self._bar.update(task.id, completed=1)
