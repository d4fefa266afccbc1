"""build-push.sh among stand-ins: what it asks of docker, aws, make and mlapi, and what it prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.build_push import DIGEST, ECR, after, build_call, run
from tests.support.deploy.scripts.checkout import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.scripts.checkout import Checkout
    from tests.support.deploy.scripts.standins import StandIns


def test_a_clean_checkout_is_built_pushed_and_its_digest_is_the_last_line(
    checkout: Checkout, build_tools: StandIns
) -> None:
    """If it fails, deploy.sh, CI and people do not get the image that was pushed."""
    done = run(checkout, build_tools, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ECR}/mlapi@{DIGEST}\n"
    assert (checkout.path / ".k8s/.generated/image").read_text("utf-8") == done.stdout
    assert [call.line for call in build_tools.calls("docker login")] == [
        f"docker login --username AWS --password-stdin {ECR}"
    ]
    assert [call.line for call in build_tools.calls("aws")] == [
        "aws ecr get-login-password --region eu-west-1"
    ]
    (push,) = build_tools.calls("docker push")
    short = checkout.git("rev-parse", "--short=12", "HEAD")
    assert re.fullmatch(rf"docker push {re.escape(ECR)}/mlapi:{short}-[0-9a-f]{{8}}", push.line)


def test_the_build_is_told_commit_model_and_versions(
    checkout: Checkout, build_tools: StandIns, tiny_model: Path
) -> None:
    """If it fails, nobody can tell from an image what is in it, or it carries another model."""
    checkout.git("remote", "add", "origin", "https://somebody:token@git.example.org/team/mlapi.git")
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 0, done.stderr
    named = dict(pair.split("=", 1) for pair in after(build_call(build_tools), "--build-arg"))
    version = re.search(
        r'^  "version": "(\w+)"', (tiny_model / "manifest.json").read_text("utf-8"), re.MULTILINE
    )
    assert version is not None
    assert named == {
        "MODEL_DIR": "models/default",
        "TORCH_VERSION": "2.13.0",
        "SOURCE": "https://git.example.org/team/mlapi",
        "COMMIT": checkout.git("rev-parse", "HEAD"),
        "VERSION": "0.1.0",
        "MODEL_NAME": "tiny",
        "MODEL_VERSION": version[1],
    }
    assert after(build_call(build_tools), "--target") == ["runtime"]


def test_without_push_the_image_has_a_local_name_and_nothing_is_asked_of_a_registry(
    checkout: Checkout, build_tools: StandIns
) -> None:
    """If it fails, a build for Minikube wants an account, or deploy.sh does not find mlapi:latest."""
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 0, done.stderr
    tag, latest = after(build_call(build_tools), "--tag")
    assert (done.stdout, latest) == (f"{tag}\n", "mlapi:latest")
    assert tag.startswith("mlapi:")
    assert not build_tools.calls("aws")
    assert not build_tools.calls("docker push")
    assert not (checkout.path / ".k8s/.generated").exists()


def test_a_dirty_tree_that_is_allowed_shows_in_the_tag_by_its_changes(
    checkout: Checkout, build_tools: StandIns
) -> None:
    """If it fails, two different trees share one tag, or one tree has two."""
    tags = []
    for text in ("one", "two", "two"):
        (checkout.path / "new.txt").write_text(text, encoding="utf-8")
        build_tools.forget()
        done = run(checkout, build_tools, "--no-push", "--allow-dirty")
        assert done.returncode == 0, done.stderr
        tags.append(done.stdout)
    assert tags[0] != tags[1] == tags[2]
    assert all("-dirty-" in tag for tag in tags)
    commit = checkout.git("rev-parse", "HEAD")
    assert f"COMMIT={commit}-dirty" in build_call(build_tools)


def test_a_second_run_does_the_same_again(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, what the first run wrote makes the tree dirty, and the second is refused."""
    first = run(checkout, build_tools, "--yes")
    second = run(checkout, build_tools, "--yes")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert first.stdout == second.stdout


def test_a_dry_run_changes_nothing(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, --dry-run builds, logs in or pushes."""
    done = run(checkout, build_tools, "--dry-run", "--yes")
    assert done.returncode == 0, done.stderr
    assert {call.line.split()[1] for call in build_tools.calls("docker")} <= {"info", "version"}
    assert not build_tools.calls("aws")
    assert not build_tools.calls("make")
    assert not (checkout.path / ".k8s/.generated").exists()
    for said in (
        "would run: docker build",
        "would run: aws ecr get-login-password",
        "would run: docker push",
    ):
        assert said in done.stderr


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_before_pushing_it_asks(checkout: Checkout, build_tools: StandIns, answer: str, status: int) -> None:
    """If it fails, a slip of the hand pushes to production's registry, or a yes does not."""
    done = run(checkout, build_tools, answer=answer)
    assert done.returncode == status, done.stderr
    assert f"push it to {ECR}?" in done.stderr
    assert bool(build_tools.calls("docker push")) == (status == 0)


def test_another_registry_needs_no_aws(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, a registry that is not Amazon's cannot be used."""
    done = run(checkout, build_tools, "--registry", "ghcr.io/team", "--tag", "v1", "--tag", "v2", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"ghcr.io/team/mlapi@{DIGEST}\n"
    assert [call.arguments[1] for call in build_tools.calls("docker push")] == [
        "ghcr.io/team/mlapi:v1",
        "ghcr.io/team/mlapi:v2",
    ]
    assert not build_tools.calls("aws")
    assert not build_tools.calls("docker login")


def test_account_and_region_can_be_others_than_those_of_the_values(
    checkout: Checkout, build_tools: StandIns
) -> None:
    """If it fails, a second account or region needs an edit of a tracked file."""
    done = run(checkout, build_tools, "--account", "999988887777", "--region", "eu-north-1", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("999988887777.dkr.ecr.eu-north-1.amazonaws.com/mlapi@")
    assert build_tools.calls("aws")[0].line.endswith("--region eu-north-1")


def test_a_registry_in_the_values_is_taken_as_it_stands(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, production's images go to another place than its pods pull them from."""
    values = checkout.path / ".k8s/overlays/prod/values.yaml"
    values.write_text(values.read_text("utf-8") + '  registry: "images.example.org/team"\n', encoding="utf-8")
    checkout.commit()
    done = run(checkout, build_tools, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"images.example.org/team/mlapi@{DIGEST}\n"
    assert not build_tools.calls("aws")


def test_two_platforms_are_built_and_pushed_by_buildx(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, there is no image for both architectures under one digest."""
    build_tools.on("docker buildx version", "github.com/docker/buildx v0.24.0\n")
    build_tools.on(
        "docker buildx build",
        script=f"""while [ "$1" != --metadata-file ]; do shift; done
            echo '{{"containerimage.digest": "{DIGEST}", "image.name": "mlapi"}}' >"$2" """,
    )
    done = run(checkout, build_tools, "--platform", "linux/amd64,linux/arm64", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ECR}/mlapi@{DIGEST}\n"
    (call,) = build_tools.calls("docker buildx build --push")
    assert after(call.arguments, "--platform") == ["linux/amd64,linux/arm64"]
    assert not build_tools.calls("docker push")


def test_one_platform_and_options_of_the_build_are_passed_on(
    checkout: Checkout, build_tools: StandIns
) -> None:
    """If it fails, a laptop cannot build for the cluster, or CI cannot keep layers."""
    done = run(checkout, build_tools, "--no-push", "--platform", "linux/arm64", "--", "--network", "host")
    assert done.returncode == 0, done.stderr
    assert after(build_call(build_tools), "--platform") == ["linux/arm64"]
    assert after(build_call(build_tools), "--network") == ["host"]


def test_the_target_with_torch_has_a_tag_of_its_own(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, the image with PyTorch takes the tag of the one without."""
    done = run(checkout, build_tools, "--no-push", "--target", "runtime-torch")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("-torch\n")
    assert after(build_call(build_tools), "--target") == ["runtime-torch"]


def test_help_names_every_option(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, an option of the script is a secret of its author."""
    done = run(checkout, build_tools, "--help")
    text = (REPOSITORY / "build-push.sh").read_text("utf-8")
    options = set(re.findall(r"^\s+(?:-y \| |-h \| )?(--[a-z-]+)\)", text, re.MULTILINE)) - {"--"}
    assert {"--model", "--yes", "--help", "--no-push"} < options | {"--model"}
    assert not [option for option in options if option not in done.stdout]
