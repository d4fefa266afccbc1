"""The GitHub workflows: what they may do, what they name, and what they run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.workflows import references as workflow_references
from tests.support.deploy.workflows import security as workflow_security
from tests.support.deploy.workflows.delivery import REPOSITORY, Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.deploy.engine import Engine

RULES = (*workflow_security.RULES, *workflow_references.RULES)
TRY_IMAGE = REPOSITORY / ".github" / "scripts" / "try-image.sh"
VALUES = REPOSITORY / ".github" / "scripts" / "values.sh"

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
MUTATIONS = [
    ("pins", "deploy.yml", CHECKOUT, "actions/checkout@v7.0.1"),
    ("pins", "deploy.yml", CHECKOUT, CHECKOUT.partition(" #")[0]),
    ("pins", "deploy.yml", "# v7.0.1", "# v7.0.0"),
    ("pins", "deploy.yml", CHECKOUT, CHECKOUT.replace("3d3c", "3d3d")),
    ("pins", "ci.md", "actions/checkout", "actions/checkin"),
    ("pins", "ci.md", "[IBM/mcp-context-forge](", "[apache/infrastructure-actions]("),
    ("triggers", "pull-request.yml", "  pull_request:", "  pull_request_target:"),
    ("triggers", "deliver.yml", "  push:\n", "  workflow_run: {}\n  push:\n"),
    (
        "permissions",
        "deploy.yml",
        "    permissions:\n      contents: read\n      id-token: write # for AWS\n",
        "",
    ),
    ("permissions", "pull-request.yml", "packages: read", "packages: write"),
    ("permissions", "checks.yml", "contents: read", "contents: write"),
    ("permissions", "deliver.yml", "permissions: {}", "permissions: write-all"),
    ("permissions", "checks.yml", "    permissions:\n      contents: read\n", "    permissions: write-all\n"),
    ("scripts_without_expressions", "deploy.yml", '--image "$IMAGE"', '--image "${{ inputs.image }}"'),
    ("scripts_without_expressions", "deliver.yml", '"$MODEL"', "${{ github.event.head_commit.message }}"),
    ("checkouts", "image.yml", "persist-credentials: false", "persist-credentials: true"),
    ("checkouts", "checks.yml", "          persist-credentials: false\n", "          fetch-depth: 1\n"),
    ("bounds", "deliver.yml", "    timeout-minutes: 60\n", ""),
    ("bounds", "checks.yml", "ubuntu-24.04", "ubuntu-latest"),
    ("bounds", "image.yml", "runner: ubuntu-24.04-arm", "runner: macos-latest"),
    ("secrets", "deliver.yml", "${{ github.token }}", "${{ secrets.REGISTRY_TOKEN }}"),
    ("secrets", "deliver.yml", "    needs: publish\n", "    needs: publish\n    secrets: inherit\n"),
    ("secrets", "deploy.yml", "vars.AWS_DEPLOY_ROLE", "vars.AWS_ROLE"),
    ("secrets", "ci.md", "`AWS_PUBLISH_ROLE`", "`AWS_PUSH_ROLE`"),
    ("delivery_from_main", "deploy.yml", "    if: github.ref == 'refs/heads/main'\n", ""),
    ("delivery_from_main", "deliver.yml", "github.ref == 'refs/heads/main' && ", ""),
    ("delivery_from_main", "pull-request.yml", "write-cache: false", "write-cache: true"),
    ("delivery_from_main", "deliver.yml", "[checks, image]", "[image]"),
    ("delivery_from_main", "deliver.yml", "needs: publish", "needs: image"),
    ("delivery_from_main", "deploy.yml", "    environment: production\n", ""),
    ("delivery_from_main", "deploy.yml", "group: deploy-production", "group: deploy-${{ github.run_id }}"),
    ("delivery_from_main", "deliver.yml", "cancel-in-progress: false", "cancel-in-progress: true"),
    ("delivery_from_main", "deploy.yml", "cosign verify ", "cosign triangulate "),
    ("scripts", "image.yml", "try-image.sh", "trial.sh"),
    ("scripts", "deploy.yml", "./deploy.sh", "./deployment.sh"),
    ("options", "deploy.yml", "--rollback", "--undo"),
    ("options", "deliver.yml", "--platform", "--platforms"),
    ("options", "image.yml", "--no-push", "--load"),
    ("targets", "checks.yml", "make test-containers", "make containers"),
    ("targets", "checks.yml", "target: check", "target: lint"),
    ("same_steps", "checks.yml", "          - target: test-torch\n", "          - target: test-hub\n"),
    ("same_steps", "checks.yml", "            arguments: --no-cov\n", ""),
    ("variables", "deploy.yml", "          CLUSTER: ", "          NAME: "),
    ("variables", "checks.yml", "SHA256:", "SHA512:"),
    ("values", "deploy.yml", "values.sh prod region cluster", "values.sh prod region clusters"),
    ("values", "deliver.yml", "values.sh prod region", "values.sh prod"),
]
"""For each rule what would break it: file, what stands there, and what would stand there instead."""


@pytest.fixture(scope="module")
def delivery() -> Delivery:
    """All workflows as they are."""
    return Delivery.of_repository()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_workflows_obey(rule: Callable[[Delivery], Iterator[str]], delivery: Delivery) -> None:
    """A workflow would do, trust or name what the rule forbids."""
    assert list(rule(delivery)) == []


@pytest.mark.parametrize(("rule", "file", "old", "new"), MUTATIONS, ids=lambda part: part.strip()[:30])
def test_the_rules_notice(rule: str, file: str, old: str, new: str, delivery: Delivery) -> None:
    """A rule would pass whatever the workflows say."""
    (checked,) = (known for known in RULES if known.__name__ == rule)
    assert list(checked(delivery.changed(file, old, new)))


def test_every_rule_has_a_mutation() -> None:
    """A rule could be added that nothing shows to work."""
    assert {rule.__name__ for rule in RULES} == {mutation[0] for mutation in MUTATIONS}


def test_shell_scripts_in_workflows_are_sound(delivery: Delivery, tmp_path: Path) -> None:
    """A script in a workflow would have the mistakes that shellcheck finds in those of its own file."""
    for number, step in enumerate(step for step in delivery.steps() if step.script):
        (tmp_path / f"{number:02}.sh").write_text(
            f"#!/bin/bash\n# {step.place}\nset -eo pipefail\n{step.body['run']}\n"
        )
    found = _shellcheck(*sorted(tmp_path.iterdir()))
    assert found.returncode == 0, found.stdout


def test_shellcheck_reads_the_scripts(tmp_path: Path) -> None:
    """The test above would pass whatever the scripts say."""
    (tmp_path / "bad.sh").write_text("#!/bin/bash\nrm -rf $1/*\n")
    assert _shellcheck(tmp_path / "bad.sh").returncode == 1


def test_actionlint_finds_nothing() -> None:
    """A workflow would not start, or an expression in it would be empty."""
    if (actionlint := shutil.which("actionlint")) is None:
        pytest.skip("there is no actionlint on PATH; the workflow checks.yml runs it")
    found = subprocess.run(
        [actionlint, "-no-color"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_base_image_is_named_once() -> None:
    """The workflow would resolve no base image, or another one than is built from."""
    lines = (REPOSITORY / "Dockerfile").read_text("utf-8").splitlines()
    assert len([line for line in lines if line.startswith("ARG PYTHON_IMAGE=")]) == 1


def test_values_are_put_out_as_a_workflow_reads_them() -> None:
    """The region, or the cluster, would be empty or carry quotes."""
    shown = subprocess.run(
        [VALUES, "dev", "namespace", "context"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "namespace=mlapi-dev\ncontext=minikube\n"


def test_a_missing_value_is_an_error() -> None:
    """A workflow would go on with an empty region."""
    shown = subprocess.run([VALUES, "dev", "region"], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "values.yaml has no region: fill it in" in shown.stderr


@pytest.mark.container
def test_an_image_that_works_is_taken(image: str) -> None:
    """The workflow would refuse the image that the project builds."""
    tried = subprocess.run([TRY_IMAGE, image], capture_output=True, text=True, check=False, timeout=180)
    assert tried.returncode == 0, tried.stderr
    assert '"status":"healthy"' in tried.stdout
    assert '{"prediction":[{"label":"POSITIVE"' in tried.stdout


@pytest.mark.container
def test_an_image_that_never_answers_is_refused(engine: Engine, image: str, tmp_path: Path) -> None:
    """The workflow would ship an image that does not come up, and leave its container behind."""
    broken = f"{image}-broken"
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nENV MLAPI_MODEL=/models/none\n")
    engine.run("build", "--network", "host", "--tag", broken, str(tmp_path))
    try:
        tried = subprocess.run([TRY_IMAGE, broken], capture_output=True, text=True, check=False, timeout=180)
        left = engine.run("ps", "--all", "--quiet", "--filter", f"ancestor={broken}")
    finally:
        engine.try_run("rmi", "--force", broken)
    assert tried.returncode == 1
    assert "ended" in tried.stderr
    assert "/models/none" in tried.stderr  # the container's own log says why
    assert left == ""


def _shellcheck(*files: Path) -> subprocess.CompletedProcess[str]:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    return subprocess.run([shellcheck, *files], capture_output=True, text=True, check=False, timeout=120)
