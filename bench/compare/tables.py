"""What was measured, as Markdown: it reads on a terminal as well as in `docs/performance.md`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.compare import sections
from bench.compare.points import DISTINCT, LENGTHS, OPEN, WORKLOADS
from bench.compare.verdicts import judge
from bench.load.result import OK
from bench.markdown import host_table, significant, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.compare.results import Results
    from bench.compare.verdicts import Verdict

BEGIN = "<!-- bench/compare: what it printed, do not edit -->"
END = "<!-- bench/compare: end -->"


def report(results: Results) -> str:
    """Write everything."""
    parts: list[str | None] = [
        host_table(results.host),
        verdict_table(judge(results.windows, engines(results))),
        contestant_table(results),
        _titled(WORKLOADS[DISTINCT], sections.by_clients(results)),
        _titled(WORKLOADS[OPEN], sections.by_rate(results)),
        _titled(WORKLOADS[LENGTHS], sections.by_tokens(results)),
        _titled("other workloads", sections.mixed(results)),
        _titled("what they cost", sections.costs(results)),
        _failed_requests(results),
        _failures(results),
    ]
    return "\n\n".join(part for part in parts if part)


def engines(results: Results) -> dict[str, str]:
    """Return what computes, by contestant."""
    return {each["name"]: each["engine"] for each in results.contestants}


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Write targets against values."""
    rows = (
        (
            verdict.what,
            sections.ratio_text(verdict.ratio),
            f"≥ {significant(verdict.target)} times",
            ("reached" if verdict.reached else "**not reached**") if verdict.measured else "not measured",
        )
        for verdict in verdicts
    )
    return table(("target", "ratio of medians (range within the rounds)", "aimed at", ""), rows)


def contestant_table(results: Results) -> str:
    """Write who took part, and how each was configured."""
    rows = (
        (
            f"`{each['name']}`",
            each["title"],
            each["engine"],
            "; ".join(each["configuration"]),
            ", ".join(f"{name} {version}" for name, version in each["libraries"].items()),
            f"<{each['source']}>" if "://" in each["source"] else each["source"],
        )
        for each in results.contestants
    )
    return table(("name", "what", "engine", "configuration", "libraries", "as told in"), rows)


def _failed_requests(results: Results) -> str | None:
    rows = []
    for window in results.windows:
        if window.failed:
            reasons = Counter(
                {f"status {each}": count for each, count in window.statuses.items() if each != OK}
            )
            reasons.update(window.failures)
            if window.dropped:
                reasons["no connection free"] = window.dropped
            told = ", ".join(f"{count} x {reason}" for reason, count in reasons.items())
            rows.append(
                (f"`{window.contestant}`", f"{window.round}", f"{window.point}", f"{window.sent}", told)
            )
    head = ("", "round", "at", "requests", "of which failed")
    return _titled("requests that were not answered with 200", table(head, rows)) if rows else None


def _failures(results: Results) -> str | None:
    told = [
        f"`{each.contestant}`, {f'round {each.round}, ' if each.round else ''}{each.where}:\n\n"
        f"```text\n{each.error}\n```"
        for each in results.failures
    ]
    return _titled("what could not be measured", "\n\n".join(told)) if told else None


def _titled(title: str, body: str | None) -> str | None:
    return f"{title[0].upper()}{title[1:]}:\n\n{body}" if body else None
