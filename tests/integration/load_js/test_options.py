"""What load.js asks k6 for, and what it says about settings that do not fit."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.http_server import REPOSITORY
from tests.support.k6 import SCRIPT_EXCEPTION, inspect


def _options(variables: dict[str, str]) -> dict[str, Any]:
    done = inspect(variables, "--execution-requirements")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _thresholds(options: dict[str, Any]) -> dict[str, list[str]]:
    return {name: rules for name, rules in options["thresholds"].items() if rules}


def test_defaults_are_the_run_that_graders_expect() -> None:
    """If it fails, `k6 run load.js` is another test than its documentation says."""
    options = _options({})
    assert options["stages"] == [
        {"duration": "30s", "target": 10},
        {"duration": "10m0s", "target": 10},
        {"duration": "3m0s", "target": 0},
    ]
    assert options["maxVUs"] == 10
    assert _thresholds(options) == {
        "http_req_duration{scenario:default}": ["p(99)<2000"],
        "http_req_failed{scenario:default}": ["rate<0.01"],
        "http_reqs{scenario:default}": ["rate>=10"],
        "cached_texts": ["rate>0.95"],
        "checks": ["rate>0.99"],
        "wrong_answers": ["count==0"],
    }
    wanted = ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "p(99.99)"]
    assert options["summaryTrendStats"] == wanted


def test_durations_and_users_are_settings() -> None:
    """If it fails, a shorter or heavier run cannot be asked for."""
    options = _options({"RAMP_UP": "1s", "HOLD": "1m30s", "RAMP_DOWN": "500ms", "USERS": "3"})
    assert [(stage["duration"], stage["target"]) for stage in options["stages"]] == [
        ("1s", 3),
        ("1m30s", 3),
        ("500ms", 0),
    ]
    assert options["maxVUs"] == 3


@pytest.mark.parametrize(("rate", "rules"), [("0.97", ["rate>0.95"]), ("0.5", ["rate>0.49"]), ("0", None)])
def test_hits_are_measured_by_the_repeats_asked_for(rate: str, rules: list[str] | None) -> None:
    """If it fails, a run with fewer repeats is red whatever the service does."""
    assert _thresholds(_options({"CACHE_RATE": rate})).get("cached_texts") == rules


def test_every_setting_is_documented_with_its_default() -> None:
    """If it fails, docs/load-test.md lacks or invents a setting, or tells another default."""
    script = (REPOSITORY / "load.js").read_text(encoding="utf-8")
    page = (REPOSITORY / "docs" / "load-test.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)`(?:, `([A-Z_]+)`)? \| (?:`(\S+)`|none) \|", page, re.MULTILINE)
    shown = {name: default for first, second, default in rows for name in (first, second) if name}
    checked = dict(re.findall(r"\b(?:number|duration|prefix)\('([A-Z_]+)', '?([^',]+)'?[,)]", script))
    assert checked.items() <= shown.items()
    assert shown.keys() - checked.keys() == {"BASE_URL", "NAMESPACE", "DOMAIN", "WORDS", "SUMMARY"}
    assert all(re.search(rf"\b{name}\b", script) for name in shown)
    assert f"|| '{shown['SUMMARY']}'" in script
    assert f"return '{shown['BASE_URL']}'" in script


def test_script_imports_only_what_k6_brings() -> None:
    """If it fails, the load test needs the internet, or a second file that a copy of it lacks."""
    script = (REPOSITORY / "load.js").read_text(encoding="utf-8")
    imported = set(re.findall(r"^import .* from '(.*)';$", script, re.MULTILINE))
    assert imported == {"k6", "k6/crypto", "k6/execution", "k6/http", "k6/metrics"}
    assert len(imported) == len(re.findall(r"\b(?:import|require)\b.*'", script))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NAMESPACE": "reviews"}, "NAMESPACE=reviews: DOMAIN is missing; add -e DOMAIN=example.com"),
        ({"DOMAIN": "example.com"}, "DOMAIN=example.com: NAMESPACE is missing"),
        (
            {"NAMESPACE": "reviews", "DOMAIN": "https://example.com"},
            "DOMAIN=https://example.com: give a name",
        ),
        ({"NAMESPACE": "a/b", "DOMAIN": "example.com"}, "NAMESPACE=a/b: give letters"),
        ({"BASE_URL": "127.0.0.1:8000"}, "BASE_URL=127.0.0.1:8000: give http://… or https://…"),
        ({"PREFIX": "project"}, "PREFIX=project: give a path such as /project"),
        ({"USERS": "ten"}, "USERS=ten: give a whole number from 1 to 10000"),
        ({"USERS": "0"}, "USERS=0: give a whole number"),
        ({"USERS": "2.5"}, "USERS=2.5: give a whole number"),
        ({"CACHE_RATE": "96"}, "CACHE_RATE=96: give a number from 0 to 1"),
        ({"CACHE_RATE": " "}, "CACHE_RATE= : give a number from 0 to 1"),
        ({"BULK_SHARE": "-1"}, "BULK_SHARE=-1: give a number from 0 to 1"),
        ({"BULK_SIZE": "0"}, "BULK_SIZE=0: give a whole number"),
        ({"REPEATED_TEXTS": "0"}, "REPEATED_TEXTS=0: give a whole number"),
        ({"SEED": "x"}, "SEED=x: give a whole number"),
        ({"HOLD": "10"}, "HOLD=10: give a duration such as 90s"),
        ({"PAUSE": "1"}, "PAUSE=1: give a duration such as 90s"),
        ({"RAMP_UP": "0s", "HOLD": "0s", "RAMP_DOWN": "0s"}, "HOLD=0s: the run would take no time"),
        ({"WORDS": ".editorconfig"}, "WORDS=.editorconfig: give a file with at least 100 different words"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_clear_error(variables: dict[str, str], message: str) -> None:
    """If it fails, a slip in a setting starts some other load test, or ends in a puzzle."""
    done = inspect(variables)
    assert done.returncode == SCRIPT_EXCEPTION
    assert message in done.stderr
    assert done.stderr.count("level=error") == 1
    assert done.stderr.count("\n") == 1
