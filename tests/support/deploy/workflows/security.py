"""Rules about what workflows may do and whom they trust. Each returns what is wrong, one line a fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support.deploy.workflows.delivery import Delivery

PINNED = re.compile(r"(?P<action>[\w.-]+/[\w./-]+)@(?P<commit>[0-9a-f]{40})")
TAG = re.compile(r"v\d+\.\d+\.\d+")
ROW = re.compile(
    r"^\| `(?P<action>[^`]+)` \| (?P<tag>\S+) \| `(?P<commit>[0-9a-f]{40})` \| (?P<seen>.+) \|$", re.MULTILINE
)
"""A line of the page's table of pins: action, tag, commit, and where else the pair stands."""
SEEN_IN = 2

RUNNERS = frozenset({"ubuntu-24.04", "ubuntu-24.04-arm"})
MAIN_ALONE = re.compile(r"github\.ref == 'refs/heads/main'( && .+)?")
WRITES = {
    ("deliver.yml", "image"): {"packages"},
    ("deliver.yml", "publish"): {"id-token"},
    ("deliver.yml", "deploy"): {"id-token"},
    ("deploy.yml", "production"): {"id-token"},
}
"""The jobs that may write, and what. `id-token` is the identity by which AWS and the signature go."""
TRUSTED_TRIGGERS = frozenset({"pull_request", "push", "workflow_call", "workflow_dispatch"})
"""Not `pull_request_target` and the like, which run with secrets on what a stranger wrote."""


def pins(delivery: Delivery) -> Iterator[str]:
    """Every foreign action is pinned by commit, its tag beside it, as the page's table says."""
    table = {row["action"]: (row["tag"], row["commit"]) for row in ROW.finditer(delivery.page)}
    used = set()
    for workflow in delivery.workflows.values():
        for target, comment in workflow.uses():
            if target.startswith("./"):
                continue
            if not (pin := PINNED.fullmatch(target)):
                yield f"{workflow.name}: {target} is not pinned by commit"
                continue
            action = "/".join(pin["action"].split("/")[:2])
            used.add(action)
            if not TAG.fullmatch(comment):
                yield f"{workflow.name}: {target} has no tag beside it"
            elif table.get(action) != (comment, pin["commit"]):
                yield f"{workflow.name}: {target} # {comment} is not what docs/ci.md says"
    yield from (f"docs/ci.md: {action} is not used" for action in table.keys() - used)
    for row in ROW.finditer(delivery.page):
        if len(set(re.findall(r"\[([\w.-]+/[\w.-]+)", row["seen"]))) < SEEN_IN:
            yield f"docs/ci.md: {row['action']} was not seen in {SEEN_IN} repositories"


def triggers(delivery: Delivery) -> Iterator[str]:
    """Nothing is started by an event that gives a stranger's text the rights of this repository."""
    for workflow in delivery.workflows.values():
        for foreign in set(workflow.triggers) - TRUSTED_TRIGGERS:
            yield f"{workflow.name}: is started by {foreign}"


def permissions(delivery: Delivery) -> Iterator[str]:
    """Every job says what it may, and writes what is listed above alone; a called one may leave it open."""
    for place, workflow, job in delivery.jobs():
        given = job.get("permissions")
        if given is None:
            if set(workflow.triggers) != {"workflow_call"} or workflow.document.get("permissions"):
                yield f"{place}: does not say its permissions"
            continue
        if not isinstance(given, dict):
            yield f"{place}: permissions are {given}"
            continue
        writes = {scope for scope, access in given.items() if access == "write"}
        allowed = WRITES.get((workflow.name, place.rsplit(" ", 1)[1]), set())
        yield from (f"{place}: may write {scope}" for scope in writes - allowed)
    for workflow in delivery.workflows.values():
        if set(workflow.triggers) != {"workflow_call"} and workflow.document.get("permissions") != {}:
            yield f"{workflow.name}: begins with permissions"


def scripts_without_expressions(delivery: Delivery) -> Iterator[str]:
    """No expression stands in a script, where its value would be read as code."""
    for step in delivery.steps():
        if "${{" in str(step.body.get("run", "")):
            yield f"{step.place}: has an expression in its script"


def checkouts(delivery: Delivery) -> Iterator[str]:
    """No checkout leaves its token behind for what runs after it."""
    for step in delivery.steps():
        if str(step.body.get("uses", "")).startswith("actions/checkout@"):
            options: Mapping[str, Any] = step.body.get("with", {})
            if options.get("persist-credentials") is not False:
                yield f"{step.place}: keeps its credentials"


def bounds(delivery: Delivery) -> Iterator[str]:
    """Every job has a time limit and a runner whose image does not change its major version by itself."""
    for place, _, job in delivery.jobs():
        if "uses" in job:
            continue
        if not isinstance(job.get("timeout-minutes"), int):
            yield f"{place}: has no timeout-minutes"
        if foreign := set(_runners(job)) - RUNNERS:
            yield f"{place}: runs on {', '.join(sorted(foreign))}"


def _runners(job: Mapping[str, Any]) -> list[str]:
    runner = str(job["runs-on"])
    if not (name := re.fullmatch(r"\$\{\{ matrix\.(\w+)\.(\w+) \}\}", runner)):
        return [runner]
    return [str(row[name[2]]) for row in job["strategy"]["matrix"][name[1]]]


def secrets(delivery: Delivery) -> Iterator[str]:
    """No secret is used, so that none can leak; the variables are those on the page."""
    used = set()
    for workflow in delivery.workflows.values():
        if re.search(r"\bsecrets[.:\[]", workflow.text):
            yield f"{workflow.name}: uses a secret"
        used |= set(re.findall(r"\bvars\.(\w+)", workflow.text))
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", delivery.page, re.MULTILINE))
    yield from (f"docs/ci.md does not explain the variable {name}" for name in used - explained)
    yield from (f"docs/ci.md explains {name}, which nothing uses" for name in explained - used)


def delivery_from_main(delivery: Delivery) -> Iterator[str]:
    """What is shipped comes from main, checked, signed and approved; no two deployments overlap."""
    for place, workflow, job in delivery.jobs():
        trusted = "id-token" in job.get("permissions", {}) and "uses" not in job
        if trusted and not MAIN_ALONE.fullmatch(str(job.get("if"))):
            yield f"{place}: has an identity on other branches than main"
        if job.get("with", {}).get("write-cache") and workflow.triggers != {"push": {"branches": ["main"]}}:
            yield f"{place}: writes the cache that main builds from"
    jobs = delivery.workflows["deliver.yml"].jobs
    if not {"checks", "image"} <= set(jobs["publish"]["needs"]):
        yield "deliver.yml: pushes what was not checked"
    if jobs["deploy"]["needs"] != "publish":
        yield "deliver.yml: deploys what was not signed"
    production = delivery.workflows["deploy.yml"].jobs["production"]
    if production.get("environment") != "production":
        yield "deploy.yml: needs no approval"
    for place, held in (
        ("deploy.yml", production.get("concurrency")),
        ("deliver.yml", delivery.workflows["deliver.yml"].document.get("concurrency")),
    ):
        if not held or "${{" in str(held.get("group")) or held.get("cancel-in-progress") is not False:
            yield f"{place}: two can overlap, or one be cut off"
    steps = [str(step.get("run", "")) for step in production["steps"]]
    verified = next((number for number, run in enumerate(steps) if "cosign verify " in run), len(steps))
    deployed = next(
        (number for number, run in enumerate(steps) if "--image" in run and "deploy.sh" in run), -1
    )
    if not verified < deployed:
        yield "deploy.yml: deploys before the signature is verified"


RULES: tuple[Callable[[Delivery], Iterator[str]], ...] = (
    pins,
    triggers,
    permissions,
    scripts_without_expressions,
    checkouts,
    bounds,
    secrets,
    delivery_from_main,
)
