"""All that a comparison has measured so far, and the file in which it is kept."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.compare.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant's round, measured to its end.

    Attributes:
        contestant: Its name.
        round: From 1.
        ready_s: From its start to the first correct answer.
        memory_mb: Of all its processes after the round, in 10^6 bytes.
    """

    contestant: str
    round: int
    ready_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be measured.

    Attributes:
        contestant: Its name.
        round: From 1; 0: before the first.
        where: What was tried.
        error: The exact text.
    """

    contestant: str
    round: int
    where: str
    error: str


@dataclass(slots=True)
class Results:
    """One comparison.

    Attributes:
        host: What it was measured on, for people.
        options: What was asked for; results of other options are not mixed with these.
        contestants: As `Contestant.to_json` gives them, in the order of the report.
        windows: In the order in which they were measured.
        runs: One for each contestant and round that came to its end.
        failures: In their order.
    """

    host: dict[str, str]
    options: dict[str, Any]
    contestants: list[dict[str, Any]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def has(self, contestant: str, number: int) -> bool:
        """Whether a contestant's round was measured to its end."""
        return any((run.contestant, run.round) == (contestant, number) for run in self.runs)

    def names(self) -> list[str]:
        """Return the contestants of which there is a window, in the order of the report."""
        measured = {window.contestant for window in self.windows}
        return [each["name"] for each in self.contestants if each["name"] in measured]

    def drop_unfinished(self) -> None:
        """Forget what is known of rounds that did not come to their end, so that those are measured anew."""
        self.windows = [each for each in self.windows if self.has(each.contestant, each.round)]
        self.failures = [each for each in self.failures if self.has(each.contestant, each.round)]

    def save(self, path: Path, more: Mapping[str, Any]) -> None:
        """Write it as JSON; a reader never sees half a file.

        Args:
            path: To be replaced.
            more: Follows from the rest, for those who read the file.
        """
        content = {
            "host": self.host,
            "options": self.options,
            "contestants": self.contestants,
            "runs": [asdict(run) for run in self.runs],
            "failures": [asdict(failure) for failure in self.failures],
            **more,
            "windows": [window.to_json() for window in self.windows],
        }
        partial = path.with_name(f".{path.name}")
        text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not JSON.
            LookupError: It is other JSON.
            TypeError: As LookupError.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            host=content["host"],
            options=content["options"],
            contestants=content["contestants"],
            windows=[Window.from_json(each) for each in content["windows"]],
            runs=[Run(**each) for each in content["runs"]],
            failures=[Failure(**each) for each in content["failures"]],
        )


def _without_nan(value: Any) -> Any:
    """Return JSON in which null stands for what has no value: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
