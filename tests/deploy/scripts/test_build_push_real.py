"""build-push.sh for real: it builds, pushes to a registry, and takes a model from a hub."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from mlapi.models.manifest import read_manifest
from tests.support.deploy.engine import unique
from tests.support.deploy.image.image import base_image
from tests.support.deploy.image.registry import digest_of, registry
from tests.support.deploy.image.service_container import running_service
from tests.support.deploy.scripts.checkout import REPOSITORY, Checkout, make_checkout
from tests.support.deploy.scripts.standins import StandIns
from tests.support.hub_server import HubServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.deploy.engine import Engine

pytestmark = pytest.mark.container

HOST_NETWORK = ("--", "--network", "host")
"""Not every engine lends its own network to builds."""


@pytest.fixture
def checkout(tmp_path: Path, engine: Engine) -> Checkout:
    """A checkout with environments whose `mlapi` is that of this test's interpreter."""
    engine.need_image(base_image())
    made = make_checkout(tmp_path / "checkout")
    for environment in (".venv", ".venv-torch"):
        command = made.path / environment / "bin" / "mlapi"
        command.parent.mkdir(parents=True)
        command.write_text(
            f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m mlapi "$@"\n', encoding="utf-8"
        )
        command.chmod(0o755)
    return made


@pytest.fixture
def tools(tmp_path: Path) -> StandIns:
    """Only make is a stand-in: the environments are there already."""
    stand_ins = StandIns(tmp_path / "bin")
    stand_ins.on("make")
    return stand_ins


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    """A tag of the test's own; the image that is given it is removed in the end."""
    name = unique("tag")
    yield name
    engine.try_run("rmi", "--force", f"mlapi:{name}")


def test_two_tags_are_pushed_and_the_digest_that_it_prints_runs(
    engine: Engine, checkout: Checkout, tools: StandIns, tmp_path: Path
) -> None:
    """If it fails, what a person or CI deploys by the printed digest is not what was built."""
    with registry(tmp_path) as host:
        tagged = [f"{host}/mlapi:{tag}" for tag in ("one", "two")]
        push = ("--registry", host, "--tag", "one", "--tag", "two", "--yes", *HOST_NETWORK)
        done = checkout.run("build-push.sh", *push, environment=tools.environment())
        printed = done.stdout.strip()
        try:
            assert done.returncode == 0, done.stderr
            name, _, digest = printed.partition("@")
            assert name == f"{host}/mlapi"
            assert {digest_of(host, "mlapi", tag) for tag in ("one", "two")} == {digest}
            again = checkout.run("build-push.sh", *push, environment=tools.environment())
            assert again.returncode == 0, again.stderr
            printed = again.stdout.strip()
            assert {digest_of(host, "mlapi", tag) for tag in ("one", "two")} == {printed.partition("@")[2]}
            engine.run("rmi", "--force", *tagged)
            engine.run("pull", printed)
            labels = engine.inspect(printed)["Config"]["Labels"]
            assert labels["org.opencontainers.image.revision"] == checkout.git("rev-parse", "HEAD")
            assert engine.run("run", "--rm", printed, "--version").startswith("mlapi ")
        finally:
            engine.try_run("rmi", "--force", *tagged, printed)


@pytest.mark.torch
@pytest.mark.slow
def test_a_model_of_a_hub_is_pulled_exported_gated_and_served(
    engine: Engine, checkout: Checkout, tools: StandIns, tmp_path: Path, tag: str
) -> None:
    """If it fails, production cannot bake its model, or bakes one that nobody measured."""
    pytest.importorskip("torch", reason="needs torch: run it in .venv-torch")
    starter = REPOSITORY / "models" / "starter"
    files = {
        name: (starter / name).read_bytes() for name in ("config.json", "tokenizer.json", "model.safetensors")
    }
    with HubServer() as hub:
        commit = hub.add("someone/films", files)
        build = ("--model", f"someone/films@{commit}", "--no-push", "--tag", tag, *HOST_NETWORK)
        environment = {**tools.environment(), **hub.environment(tmp_path)}
        done = checkout.run("build-push.sh", *build, environment=environment)
        assert done.returncode == 0, done.stderr
        asked = len(hub.requests)
        assert asked > 0
        again = checkout.run("build-push.sh", *build, environment=environment)
        assert again.stdout == done.stdout, again.stderr
        assert len(hub.requests) == asked, "what a commit names was asked for once more"
    labels = engine.inspect(f"mlapi:{tag}")["Config"]["Labels"]
    with running_service(engine, f"mlapi:{tag}") as service:
        model = service.client.get("/health").json()["model"]
        assert (model["name"], model["variant"]) == ("films", "openvino-int8")
        assert model["version"] == labels["mlapi.model.version"]
        answer = service.client.post("/predict", json={"text": "A warm, funny film with a wonderful cast."})
        assert answer.json()["prediction"][0]["label"] == "POSITIVE"


def test_a_directory_from_elsewhere_goes_in_without_what_its_manifest_does_not_name(
    engine: Engine, checkout: Checkout, tools: StandIns, tiny_model: Path, tmp_path: Path, tag: str
) -> None:
    """If it fails, a model must lie in the checkout, or takes its folder's odds and ends along."""
    model = shutil.copytree(tiny_model, tmp_path / "elsewhere" / "films")
    (model / "notes.txt").write_text("not in the manifest", encoding="utf-8")
    build = ("--model", str(model), "--no-push", "--tag", tag, *HOST_NETWORK)
    done = checkout.run("build-push.sh", *build, environment=tools.environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"mlapi:{tag}\n"
    run = ("run", "--rm", "--entrypoint", "find", f"mlapi:{tag}", "/models/default", "-type", "f")
    wanted = {"manifest.json", *read_manifest(model).files}
    assert set(engine.run(*run).split()) == {f"/models/default/{name}" for name in wanted}
