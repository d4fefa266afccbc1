"""The GitHub workflows of this repository, read for the rules that they must obey."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parents[4]
FOLDER = REPOSITORY / ".github" / "workflows"
PAGE = REPOSITORY / "docs" / "ci.md"
USES = re.compile(r"^\s*(?:- )?uses: (?P<target>\S+)(?:\s+#\s*(?P<comment>.+?))?\s*$", re.MULTILINE)
"""A `uses:` and the comment beside it, which a YAML reader would drop."""


@dataclass(frozen=True)
class Step:
    """One step of a job.

    Attributes:
        place: For messages: file, job and number.
        body: As YAML reads it.
        environment: Names of the variables that it gets from itself, its job and its workflow.
    """

    place: str
    body: Mapping[str, Any]
    environment: frozenset[str]

    @property
    def script(self) -> str:
        """What it runs, with continued lines joined; empty for an action."""
        return re.sub(r"\\\n\s*", "", str(self.body.get("run", "")))


@dataclass(frozen=True)
class Workflow:
    """One workflow.

    Attributes:
        name: The file's name.
        text: What is in it.
    """

    name: str
    text: str

    @cached_property
    def document(self) -> Mapping[Any, Any]:
        """The file as YAML reads it."""
        read: Mapping[Any, Any] = yaml.safe_load(self.text)
        return read

    @property
    def triggers(self) -> Mapping[str, Any]:
        """What starts it. YAML 1.1 takes the key `on` for a truth value."""
        found = self.document.get("on", self.document.get(True))
        return found if isinstance(found, dict) else {str(found): None}

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Its jobs by name."""
        found: Mapping[str, Mapping[str, Any]] = self.document["jobs"]
        return found

    def uses(self) -> Iterator[tuple[str, str]]:
        """Yield what each `uses:` names, and the comment beside it."""
        for found in USES.finditer(self.text):
            yield found["target"], found["comment"] or ""

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all jobs."""
        for job_name, job in self.jobs.items():
            for number, body in enumerate(job.get("steps", []), 1):
                given = (self.document.get("env"), job.get("env"), body.get("env"))
                names = frozenset(name for some in given if some for name in some)
                yield Step(f"{self.name}, job {job_name}, step {number}", body, names)


@dataclass(frozen=True)
class Delivery:
    """All workflows, and the page that explains them.

    Attributes:
        workflows: By the file's name.
        page: `docs/ci.md`.
    """

    workflows: Mapping[str, Workflow]
    page: str

    @classmethod
    def of_repository(cls) -> Delivery:
        """Read what is there."""
        files = sorted(FOLDER.glob("*.y*ml"))
        return cls(
            {file.name: Workflow(file.name, file.read_text("utf-8")) for file in files},
            PAGE.read_text("utf-8"),
        )

    def changed(self, name: str, old: str, new: str) -> Delivery:
        """Return them with every `old` of a file replaced; `ci.md` is the page."""
        text = self.page if name == PAGE.name else self.workflows[name].text
        assert old in text, f"{name} has no {old!r} any more: the mutation changes nothing"
        text = text.replace(old, new)
        if name == PAGE.name:
            return Delivery(self.workflows, text)
        return Delivery({**self.workflows, name: Workflow(name, text)}, self.page)

    def jobs(self) -> Iterator[tuple[str, Workflow, Mapping[str, Any]]]:
        """Yield all jobs, each with a place for messages and its workflow."""
        for workflow in self.workflows.values():
            for name, job in workflow.jobs.items():
                yield f"{workflow.name}, job {name}", workflow, job

    def steps(self) -> Iterator[Step]:
        """Yield all steps."""
        for workflow in self.workflows.values():
            yield from workflow.steps()
