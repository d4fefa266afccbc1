"""One measured value against what was aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.markdown import significant, table

if TYPE_CHECKING:
    from collections.abc import Iterable

Bound = Literal["≥", "≤", "="]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measured value against its target.

    Attributes:
        what: For people.
        value: As measured.
        bound: On which side of the target the value should be.
        target: In the value's unit.
        unit: For people.
    """

    what: str
    value: float
    bound: Bound
    target: float
    unit: str

    @property
    def reached(self) -> bool:
        """Whether the value is as good as its target; NaN never is."""
        if self.bound == "≥":
            return self.value >= self.target
        if self.bound == "≤":
            return self.value <= self.target
        return self.value == self.target


def verdict_table(verdicts: Iterable[Verdict]) -> str:
    """Write targets against values."""
    return table(
        ("target", "measured", "aimed at", ""),
        (
            (
                verdict.what,
                f"{significant(verdict.value)} {verdict.unit}",
                f"{verdict.bound} {verdict.target:g} {verdict.unit}",
                "reached" if verdict.reached else "**not reached**",
            )
            for verdict in verdicts
        ),
    )
