"""Progress bars in the form that huggingface_hub asks for, which show nothing themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self


class Progress(Protocol):
    """Who is told of the bytes as they come; see `mlapi.models.progress`."""

    def begin(self, name: str, *, total: int | None, done: int) -> None:
        """Start to report a file."""
        ...

    def advance(self, size: int) -> None:
        """Add bytes."""
        ...


class Silent:
    """A progress bar that shows nothing, in the form that the library asks for."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take whatever a bar is made with."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, size: float | None = 1) -> None:
        """Hear of more bytes."""


def reporting(advance: Callable[[int], None]) -> type[Silent]:
    """Return a bar that hands the bytes on."""

    class Reporting(Silent):
        def update(self, size: float | None = 1) -> None:
            advance(int(size or 0))

    return Reporting
