"""build-push.sh among stand-ins: what it refuses, and what it says when a step fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.build_push import run

if TYPE_CHECKING:
    from tests.support.deploy.scripts.checkout import Checkout
    from tests.support.deploy.scripts.standins import StandIns


def test_a_dirty_tree_is_refused(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, an image is named by a commit that does not hold what is in it."""
    (checkout.path / "mlapi/cli.py").write_text("# changed\n", encoding="utf-8")
    (checkout.path / "new.txt").write_text("new\n", encoding="utf-8")
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 1
    assert "mlapi/cli.py" in done.stderr
    assert "new.txt" in done.stderr
    assert "--allow-dirty" in done.stderr
    assert not build_tools.calls("docker build")


def test_without_any_registry_it_says_where_to_name_one(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, an empty value becomes the image's name."""
    (checkout.path / ".k8s/overlays/prod/values.yaml").write_text('data:\n  account: ""\n', encoding="utf-8")
    checkout.commit()
    done = run(checkout, build_tools, "--yes")
    assert done.returncode == 1
    assert "values.yaml" in done.stderr
    assert "--registry" in done.stderr


def test_two_platforms_without_buildx_are_refused(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, the build ends in an error of docker's that does not say what to install."""
    build_tools.on("docker buildx version", stderr="docker: 'buildx' is not a docker command.\n", status=1)
    done = run(checkout, build_tools, "--platform", "linux/amd64,linux/arm64", "--yes")
    assert done.returncode == 1
    assert "buildx" in done.stderr


def test_two_platforms_cannot_stay_on_this_machine(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, a build of minutes ends in the engine's refusal to keep its result."""
    done = run(checkout, build_tools, "--platform", "linux/amd64,linux/arm64", "--no-push")
    assert done.returncode == 1
    assert "one platform" in done.stderr
    assert not build_tools.calls("docker build")


def test_no_engine(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, minutes of export come before the news that nothing can be built."""
    build_tools.on(
        "docker info",
        stderr="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n",
        status=1,
    )
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 1
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert "start Docker" in done.stderr


@pytest.mark.parametrize(("tool", "arguments"), [("docker", ["--no-push"]), ("aws", ["--yes"])])
def test_missing_tools_are_named_with_where_to_get_them(
    checkout: Checkout, build_tools: StandIns, tool: str, arguments: list[str]
) -> None:
    """If it fails, a missing tool shows as "command not found" in the middle of something."""
    (build_tools.folder / tool).unlink()
    build_tools.hidden.add(tool)
    done = run(checkout, build_tools, *arguments)
    assert done.returncode == 1
    assert re.search(rf"{tool}: https://", done.stderr)
    assert not build_tools.calls("docker push")


NO_REPOSITORY = (
    "name unknown: The repository with name 'mlapi' does not exist in the registry with id '111122223333'"
)
IMMUTABLE = (
    "tag invalid: The image tag 'x' already exists in the 'mlapi' repository and cannot be overwritten "
    "because the tag is immutable."
)


@pytest.mark.parametrize(
    ("words", "stderr", "status", "hint"),
    [
        (
            "aws ecr",
            "Unable to locate credentials. You can configure credentials by ...",
            253,
            "aws sso login",
        ),
        ("aws ecr", "Error when retrieving token from sso: Token has expired", 255, "aws sso login"),
        ("docker login", "login attempt failed with status: 400 Bad Request", 1, "account and region"),
        (
            "docker build",
            "ERROR: failed to solve: process did not complete successfully",
            1,
            "the build failed",
        ),
        ("docker push", NO_REPOSITORY, 1, "create-repository"),
        ("docker push", IMMUTABLE, 1, "another --tag"),
        ("docker push", "no basic auth credentials", 1, "docker login"),
        ("docker push", "denied: User is not authorized to perform this action", 1, "docker login"),
        ("docker push", "received unexpected HTTP status: 502 Bad Gateway", 1, "could not be pushed"),
    ],
)
def test_what_fails_is_shown_with_what_to_do(
    checkout: Checkout, build_tools: StandIns, words: str, stderr: str, status: int, hint: str
) -> None:
    """If it fails, a failed step is taken for a success, or leaves its reader without the next step."""
    build_tools.on(words, stderr=f"{stderr}\n", status=status)
    done = run(checkout, build_tools, "--yes")
    assert done.returncode == 1
    assert stderr in done.stderr
    assert hint in done.stderr
    assert done.stdout == ""
    assert not (checkout.path / ".k8s/.generated/image").exists()


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        (f"ERROR: failed to solve: failed to push mlapi: {NO_REPOSITORY}", "create-repository"),
        (f"ERROR: failed to solve: failed to push mlapi: {IMMUTABLE}", "another --tag"),
        ("ERROR: failed to solve: failed to push mlapi: no basic auth credentials", "docker login"),
        ("ERROR: Multi-platform build is not supported for the docker driver.", "docker-container"),
        (
            "ERROR: multiple platforms feature is currently not supported for docker driver.",
            "docker-container",
        ),
        ("ERROR: python:3.11-slim-bookworm: pull access denied, may require authorization", "base image"),
        (
            "ERROR: failed to solve: process did not complete: ./x does not exist",
            "the build or the push failed",
        ),
    ],
)
def test_what_fails_for_two_platforms_is_shown_with_what_to_do(
    checkout: Checkout, build_tools: StandIns, stderr: str, hint: str
) -> None:
    """If it fails, whoever builds for two platforms gets the bare error, or advice about something else."""
    build_tools.on("docker buildx version", "github.com/docker/buildx v0.24.0\n")
    build_tools.on("docker buildx build", stderr=f"{stderr}\n", status=1)
    done = run(checkout, build_tools, "--platform", "linux/amd64,linux/arm64", "--yes")
    assert done.returncode == 1
    assert stderr in done.stderr
    assert hint in done.stderr
    hints = {"create-repository", "another --tag", "docker login", "docker-container", "base image"}
    assert {one for one in hints if one in done.stderr} <= {hint}
    assert done.stdout == ""


def test_a_push_without_a_digest_is_an_error(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, deploy.sh is handed an image without a digest."""
    build_tools.on("docker push", "The push refers to repository\n")
    done = run(checkout, build_tools, "--yes")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no digest" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model"],
        ["--model", "--no-push"],
        ["--target", "tests"],
        ["--platform", "windows/amd64"],
        ["--tag", "-x"],
        ["--tag", "a b"],
        ["--surprise"],
        ["starter"],
    ],
)
def test_wrong_usage(checkout: Checkout, build_tools: StandIns, arguments: list[str]) -> None:
    """If it fails, a slip in an option is taken for something else."""
    done = run(checkout, build_tools, *arguments)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert not build_tools.all_calls()
