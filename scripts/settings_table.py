"""Write the README's table of settings from `mlapi/settings.py`, or check that it is up to date.

Without an argument the part of README.md between the two markers is rewritten. With `--check` nothing is
changed, and the exit status is 1 where that part is stale.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from mlapi.settings import Settings

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- settings: made by scripts/settings_table.py, do not edit -->"
END = "<!-- settings: end -->"
REMEDY = "run .venv-dev/bin/python scripts/settings_table.py"
EXIT_STALE = 1


class MarkerError(Exception):
    """The document has no place for the table."""


def table() -> str:
    """Return the table as Markdown: one row per setting, in the order of the class."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    rows += [f"| {' | '.join(row)} |" for row in _rows()]
    return "\n".join(rows)


def replaced(document: str) -> str:
    """Return the document with a fresh table between the markers.

    Raises:
        MarkerError: One of the markers is missing, stands there twice, or they stand in the wrong order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise MarkerError(f"there must be exactly one {BEGIN!r} and after it one {END!r}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main(arguments: list[str] | None = None, *, readme: Path = README) -> int:
    """Rewrite or check the README and return the exit status."""
    parser = argparse.ArgumentParser(description="Write the README's table of settings.")
    parser.add_argument("--check", action="store_true", help="only tell whether the table is up to date")
    check = parser.parse_args(arguments).check
    document = readme.read_text(encoding="utf-8")
    try:
        fresh = replaced(document)
    except MarkerError as error:
        print(f"{readme.name}: {error}", file=sys.stderr)
        return EXIT_STALE
    if fresh == document:
        print(f"{readme.name} lists the {len(Settings.model_fields)} settings")
    elif check:
        print(f"{readme.name}: the table of settings is stale; {REMEDY}", file=sys.stderr)
        return EXIT_STALE
    else:
        readme.write_text(fresh, encoding="utf-8")
        print(f"{readme.name}: wrote {len(Settings.model_fields)} settings")
    return 0


def _rows() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        yield _variable(name, field), _default(field), _meaning(field)


def _variable(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
    return f"`{first or f'MLAPI_{name.upper()}'}`"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    if get_origin(field.annotation) is Literal:
        text += f" One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}."
    return text


if __name__ == "__main__":
    sys.exit(main())
