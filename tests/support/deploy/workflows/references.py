"""What workflows name exists: scripts, options, make targets, variables. Each rule returns what does not."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from typing import TYPE_CHECKING

import yaml

from tests.support.deploy.workflows.delivery import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.deploy.workflows.delivery import Delivery, Step

SCRIPT = re.compile(r"(?<![\w/])(?:\./|\.github/scripts/)[\w-]+\.sh")
CALL = re.compile(r"(?P<script>(?:\./|\.github/scripts/)[\w-]+\.sh)(?P<arguments>[^\n|;)>]*)")
MAKE = re.compile(r"\bmake (?:\"\$(?P<variable>\w+)\"|(?P<target>[\w-]+))")
VARIABLE = re.compile(r"\$\{?(?P<name>[A-Z][A-Z0-9_]*)\b")
GIVEN = re.compile(r"GITHUB_\w+|RUNNER_\w+|HOME|PATH|PWD")
"""What the runner itself sets."""


@functools.cache
def _help(script: str) -> str:
    shown = subprocess.run(
        [str(REPOSITORY / script), "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 0, f"{script} --help ended with status {shown.returncode}: {shown.stderr}"
    return shown.stdout


@functools.cache
def make_targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(
        re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    )


def scripts(delivery: Delivery) -> Iterator[str]:
    """Every script that is run is there and can be executed."""
    for step in delivery.steps():
        for name in SCRIPT.findall(step.script):
            file = REPOSITORY / name
            if not file.is_file() or not os.access(file, os.X_OK):
                yield f"{step.place}: {name} is no script that can be executed"


def options(delivery: Delivery) -> Iterator[str]:
    """Every option given to build-push.sh and deploy.sh stands in its help."""
    for step in delivery.steps():
        for call in CALL.finditer(step.script):
            if call["script"] not in {"./build-push.sh", "./deploy.sh"}:
                continue
            known = set(re.findall(r"(?<![\w-])--[a-z-]+", _help(call["script"])))
            own = re.split(r"\s--(?:\s|$)", call["arguments"])[0]
            for option in re.findall(r"(?<!\S)--[a-z-]+", own):
                if option not in known:
                    yield f"{step.place}: {call['script']} knows no {option}"


def targets(delivery: Delivery) -> Iterator[str]:
    """Every make target exists."""
    for step in delivery.steps():
        for call in MAKE.finditer(step.script):
            for target in [call["target"]] if call["target"] else steps_of_matrix(delivery):
                if target not in make_targets():
                    yield f"{step.place}: the Makefile has no target {target}"


def steps_of_matrix(delivery: Delivery) -> list[str]:
    """Return the targets that checks.yml makes side by side."""
    rows = delivery.workflows["checks.yml"].jobs["make"]["strategy"]["matrix"]["include"]
    return [str(row["target"]) for row in rows]


def same_steps(delivery: Delivery) -> Iterator[str]:
    """The jobs of checks.yml are the steps of .ci/run, with the same arguments."""
    script = (REPOSITORY / ".ci" / "run").read_text("utf-8")
    stated = re.search(r'^steps="([^"]*)"$', script, re.MULTILINE)
    assert stated, '.ci/run has no line steps="…"'
    if (made := steps_of_matrix(delivery)) != stated[1].split():
        yield f"checks.yml makes {made}, and .ci/run {stated[1].split()}"
    rows = delivery.workflows["checks.yml"].jobs["make"]["strategy"]["matrix"]["include"]
    for row in rows:
        given = re.search(rf"= {row['target']} \]; then arguments=(\S+); fi", script)
        if str(row.get("arguments", "")) != (given[1] if given else ""):
            yield f"checks.yml gives make {row['target']} other arguments than .ci/run"


def variables(delivery: Delivery) -> Iterator[str]:
    """Every environment variable that a script uses is set by its step, job or workflow, or by the runner."""
    for step in delivery.steps():
        own = set(re.findall(r"(?:^|[\s;(])([A-Z][A-Z0-9_]*)=", step.script))
        for name in set(VARIABLE.findall(step.script)) - step.environment - own:
            if not GIVEN.fullmatch(name):
                yield f"{step.place}: nothing sets {name}"


def values(delivery: Delivery) -> Iterator[str]:
    """Every value that a workflow takes from an overlay is there, and was asked for before it is used."""
    for workflow in delivery.workflows.values():
        asked: set[str] = set()
        for step in workflow.steps():
            for environment, *keys in _value_calls(step):
                asked |= set(keys)
                there = yaml.safe_load(
                    (REPOSITORY / f".k8s/overlays/{environment}/values.yaml").read_text("utf-8")
                )
                yield from (
                    f"{step.place}: .k8s/overlays/{environment}/values.yaml has no {key}"
                    for key in keys
                    if key not in there["data"]
                )
        for name in set(re.findall(r"steps\.values\.outputs\.(\w+)", workflow.text)) - asked:
            yield f"{workflow.name}: no step puts out the value {name}"


def _value_calls(step: Step) -> Iterator[list[str]]:
    for call in CALL.finditer(step.script):
        if call["script"] == ".github/scripts/values.sh":
            yield call["arguments"].split()


RULES: tuple[Callable[[Delivery], Iterator[str]], ...] = (
    scripts,
    options,
    targets,
    same_steps,
    variables,
    values,
)
