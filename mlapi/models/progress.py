"""Telling the user how far a download is: a moving bar on a terminal, a line per file elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console


class DownloadProgress:
    """A context in which downloads report their bytes, one file at a time."""

    def __init__(self, console: Console) -> None:
        """Report to a console, which knows whether it is a terminal."""
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", visible=False)

    def __enter__(self) -> Self:
        """Show the bar, on a terminal."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def begin(self, name: str, *, total: int | None, done: int) -> None:
        """Start to report a file.

        Args:
            name: The file.
            total: Its bytes, where they are known.
            done: Bytes that are there from before.
        """
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total, completed=done)
        if not self._console.is_terminal:
            from_before = f", {done:,} of them from before" if done else ""
            size = "" if total is None else f": {total:,} bytes{from_before}"
            self._console.print(f"{name}{size}", highlight=False, markup=False, soft_wrap=True)

    def advance(self, size: int) -> None:
        """Add bytes; a negative number takes back what must be fetched again."""
        self._bar.advance(self._task, size)
