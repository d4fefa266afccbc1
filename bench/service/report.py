"""Results as Markdown and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.markdown import host_table
from bench.verdict import verdict_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.service.bench import Result

BEGIN = "<!-- bench/service: what it printed, do not edit -->"
END = "<!-- bench/service: end -->"


def markdown(described: Mapping[str, str], results: Sequence[Result]) -> str:
    """Write what was measured on, all verdicts, and then each measurement's tables under its title."""
    verdicts = [verdict for result in results for verdict in result.verdicts]
    parts = [host_table(described)]
    if verdicts:
        parts.append(verdict_table(verdicts))
    for result in results:
        parts += [f"**{result.title[0].upper()}{result.title[1:]}**", *result.tables]
    return "\n\n".join(parts)


def as_json(described: Mapping[str, str], results: Mapping[str, Result]) -> dict[str, Any]:
    """Return everything as JSON holds it, by measurement."""
    return {
        "host": dict(described),
        "measurements": {
            name: {
                "title": result.title,
                "verdicts": [
                    {
                        "what": verdict.what,
                        "value": verdict.value,
                        "bound": verdict.bound,
                        "target": verdict.target,
                        "unit": verdict.unit,
                        "reached": verdict.reached,
                    }
                    for verdict in result.verdicts
                ],
                "numbers": result.numbers,
            }
            for name, result in results.items()
        },
    }
