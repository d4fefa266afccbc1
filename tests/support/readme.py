"""Reads the examples of a Markdown page, and tells whether a command still gives what the page shows.

An example that can be run stands in a block of the kind `console` under the comment `<!-- run -->`: commands
after a dollar sign, continued after a backslash, and below each what it prints.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = re.compile(r"^<!-- run -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
SCORE_TOLERANCE = 0.02
"""What int8 may differ by on another CPU, as for its golden texts; a retrained model differs by more."""

VOLATILE_KEYS = frozenset({"time", "request_id", "reason"})
VOLATILE_HEADERS = frozenset({"date", "server-timing", "content-length", "x-cache"})
HEADER = re.compile(r"([A-Za-z-]+): (.*)")


@dataclass(frozen=True, slots=True)
class Example:
    """One command of a page.

    Attributes:
        command: For a shell.
        output: What the page says that it prints, without the last line break.
    """

    command: str
    output: str


def blocks(page: str) -> list[list[Example]]:
    """Return the page's runnable blocks, each as its examples in order."""
    return [list(_examples(match[1])) for match in BLOCK.finditer(page)]


def differences(shown: str, printed: str) -> list[str]:
    """Compare what the page shows with what was printed now, line by line.

    Scores may differ by `SCORE_TOLERANCE`; ids, times and counts of cache hits may be any.
    """
    wanted, got = shown.splitlines(), printed.rstrip("\n").splitlines()
    if (one := _json(shown)) is not None and (other := _json(printed)) is not None:
        return [] if _alike(one, other) else [f"shown {shown!r}, printed {printed!r}"]
    if len(wanted) != len(got):
        return [f"shown are {len(wanted)} lines, printed were {len(got)}:\n{printed}"]
    pairs = zip(wanted, got, strict=True)
    return [f"shown {one!r}, printed {other!r}" for one, other in pairs if not _alike_lines(one, other)]


def _examples(block: str) -> Iterator[Example]:
    command: list[str] = []
    output: list[str] = []
    for line in block.splitlines():
        if command and not output and command[-1].endswith("\\"):
            command.append(line)
        elif line.startswith(PROMPT):
            if command:
                yield Example("\n".join(command), "\n".join(output))
            command, output = [line.removeprefix(PROMPT)], []
        else:
            output.append(line)
    if command:
        yield Example("\n".join(command), "\n".join(output))


def _alike_lines(shown: str, printed: str) -> bool:
    one, other = _json(shown), _json(printed)
    if one is not None and other is not None:
        return _alike(one, other)
    wanted, got = HEADER.fullmatch(shown), HEADER.fullmatch(printed)
    if wanted and got and wanted[1].lower() in VOLATILE_HEADERS:
        return wanted[1].lower() == got[1].lower() and _form(wanted[2]) == _form(got[2])
    return shown == printed


def _alike(shown: Any, printed: Any) -> bool:
    if isinstance(shown, dict) and isinstance(printed, dict):
        return shown.keys() == printed.keys() and all(
            key in VOLATILE_KEYS or _alike(shown[key], printed[key]) for key in shown
        )
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(_alike, shown, printed))
    if isinstance(shown, float) and isinstance(printed, float):
        return abs(shown - printed) <= SCORE_TOLERANCE
    return type(shown) is type(printed) and bool(shown == printed)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _form(value: str) -> str:
    """Return a header's value without its numbers, and a date without its names."""
    value = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun),", "Day,", value)
    value = re.sub(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "Month", value)
    return re.sub(r"\d+(\.\d+)?", "N", value)
