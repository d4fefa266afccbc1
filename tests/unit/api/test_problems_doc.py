"""`docs/problems.md` against the problems that the service has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import mlapi
from mlapi.api.problems import KINDS, Kind, from_domain
from mlapi.api.problems import __file__ as source
from mlapi.errors import DeadlineExceeded, Draining, Overloaded, Starting

PAGE = (Path(mlapi.__file__).parents[1] / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

kinds = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


def test_table_of_kinds_is_complete() -> None:
    """If it fails, a problem is defined but not in KINDS, and the checks below cannot see it."""
    defined = re.findall(r'= Kind\("([a-z0-9-]+)"', Path(source).read_text(encoding="utf-8"))
    assert sorted(defined) == sorted(kind.name for kind in KINDS)


def test_page_describes_the_problems_that_there_are_and_no_other() -> None:
    """If it fails, a client meets a problem that is not explained, or prepares for one that never comes."""
    assert list(SECTIONS) == [kind.name for kind in KINDS]


@kinds
def test_section_gives_uri_status_title_and_advice(kind: Kind) -> None:
    """If it fails, the page names a wrong status or title, or leaves the reader without advice."""
    section = " ".join(SECTIONS[kind.name].split())
    assert f'`{kind.type}`, status {kind.status}, "{kind.title}"' in section
    assert "When: " in section
    assert "What to do: " in section


@kinds
def test_overview_has_a_row(kind: Kind) -> None:
    """If it fails, the overview lacks a problem, or gives another status than the service."""
    assert f"| [`{kind.name}`](#{kind.name}) | {kind.status} |" in PAGE


@kinds
def test_example_is_such_a_problem(kind: Kind) -> None:
    """If it fails, the example on the page is not what the service sends."""
    (block,) = re.findall(r"```json\n(.*?)```", SECTIONS[kind.name], re.DOTALL)
    example = json.loads(block)
    assert (example["type"], example["title"], example["status"]) == (kind.type, kind.title, kind.status)
    assert set(example) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert ("errors" in example) == (kind.status == 422)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Overloaded("too many texts are waiting", retry_after=1.0), "overloaded"),
        (Starting("the model is still being loaded", retry_after=1.0), "starting"),
        (Draining("shutting down", retry_after=1.0), "draining"),
        (DeadlineExceeded("no answer within 10 s"), "deadline-exceeded"),
    ],
)
def test_examples_that_are_hard_to_provoke_say_what_the_service_says(error: Exception, name: str) -> None:
    """If it fails, the page shows a wording that the service no longer has."""
    assert f'"detail": "{from_domain(error).detail}"' in SECTIONS[name]
