"""Tables of what was measured, and the pages that they are written into."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class MarkerError(Exception):
    """The document has no place for the tables."""


class Page:
    """A document with a place for tables between two markers."""

    def __init__(self, path: Path, *, begin: str, end: str) -> None:
        """Read the document now: hours later is too late to learn that it has no place.

        Args:
            path: Of the document.
            begin: The marker before the place.
            end: The marker after it.

        Raises:
            SystemExit: It cannot be read, or a marker is missing.
        """
        self._path = path
        self._begin = begin
        self._end = end
        try:
            self._document = path.read_text(encoding="utf-8")
            replaced(self._document, "", begin=begin, end=end)
        except OSError as error:
            sys.exit(f"{path} cannot be read: {error.strerror}; name a file with the markers to --markdown")
        except MarkerError as error:
            sys.exit(f"{path}: {error}")

    def write(self, tables: str) -> None:
        """Write the document with these tables in their place."""
        text = replaced(self._document, tables, begin=self._begin, end=self._end)
        self._path.write_text(text, encoding="utf-8")


def page_at(path: Path | None, *, begin: str, end: str) -> Page | None:
    """Return the page that was asked for, if one was; `Page` says what the arguments mean."""
    return None if path is None else Page(path, begin=begin, end=end)


def replaced(document: str, tables: str, *, begin: str, end: str) -> str:
    """Return the document with these tables between the markers.

    Raises:
        MarkerError: The markers do not stand there once each, in their order.
    """
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(end)
    if document.count(begin) != 1 or document.count(end) != 1 or end in before:
        raise MarkerError(f"there must be exactly one {begin!r} and after it one {end!r}")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def host_table(host: Mapping[str, str]) -> str:
    """Write what was measured on."""
    return table(("on", ""), host.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and no exponent."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"
