"""How the image is built: with both builders, from an allow-list, in layers that seldom change."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, get_args

import pytest

from tests.support.deploy.engine import unique
from tests.support.deploy.image.image import Builder, base_image, build
from tests.support.deploy.scripts.checkout import make_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.scripts.checkout import Checkout

pytestmark = pytest.mark.container

BUILDERS = get_args(Builder)


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    """A name for an image, which is removed in the end."""
    name = unique("layers")
    yield name
    engine.try_run("rmi", "--force", name)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout to build from and to change."""
    return make_checkout(tmp_path / "checkout")


def layers(engine: Engine, tag: str) -> list[str]:
    """Return the digests of an image's layers, from the base upwards."""
    found: list[str] = engine.inspect(tag)["RootFS"]["Layers"]
    return found


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_code_change_rebuilds_the_last_layer_alone(
    engine: Engine, checkout: Checkout, tag: str, builder: Builder
) -> None:
    """If it fails, each commit downloads the packages again, and each node pulls them and the model."""
    build(engine, tag, context=checkout.path, builder=builder)
    before = layers(engine, tag)
    code = checkout.path / "mlapi" / "__init__.py"
    code.write_text(code.read_text("utf-8") + '\nCHANGED = "by the test"\n', encoding="utf-8")
    printed = build(engine, tag, context=checkout.path, builder=builder)
    after = layers(engine, tag)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    assert "openvino" not in printed  # neither downloaded nor trimmed
    run = ("run", "--rm", "--entrypoint", "python", tag, "-c", "import mlapi; print(mlapi.CHANGED)")
    assert engine.run(*run) == "by the test"


def test_another_model_leaves_the_packages_as_they_are_and_need_not_be_readable_by_all(
    engine: Engine, checkout: Checkout, tag: str, tiny_model: Path
) -> None:
    """If it fails, a new model costs a download of all packages, or the service cannot read its files."""
    build(engine, tag, context=checkout.path)
    before = layers(engine, tag)
    shutil.copytree(tiny_model, checkout.path / "models" / "default")
    for path in (checkout.path / "models").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    build(engine, tag, context=checkout.path, arguments={"MODEL_DIR": "models/default"})
    after = layers(engine, tag)
    assert len(after) == len(before)
    assert after[:-2] == before[:-2]
    verify = ("run", "--rm", "--read-only", "--tmpfs", "/tmp", tag, "model", "verify")
    assert "tiny" in engine.run(*verify, "/models/default")
    assert "lab" in engine.run(*verify, "/models/lab")


def test_labels_say_what_was_given(engine: Engine, tag: str) -> None:
    """If it fails, nobody can tell from a running image which commit and model it has."""
    given = {
        "SOURCE": "https://git.example.org/team/mlapi",
        "COMMIT": "0123456789abcdef0123456789abcdef01234567",
        "VERSION": "1.2.3",
        "MODEL_NAME": "a-model",
        "MODEL_VERSION": "fedcba9876543210",
    }
    build(engine, tag, arguments=given)
    labels: dict[str, Any] = engine.inspect(tag)["Config"]["Labels"]
    assert labels["org.opencontainers.image.source"] == given["SOURCE"]
    assert labels["org.opencontainers.image.revision"] == given["COMMIT"]
    assert labels["org.opencontainers.image.version"] == given["VERSION"]
    assert (labels["mlapi.model.name"], labels["mlapi.model.version"]) == ("a-model", "fedcba9876543210")
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_nothing_but_what_is_named_is_sent_to_the_engine(
    engine: Engine, checkout: Checkout, tag: str, tmp_path: Path
) -> None:
    """If it fails, a secret or a new folder slips into the context, and from there into an image."""
    for stray in (
        ".env",
        "mlapi/.env",
        "models/starter/.env.local",
        "secrets/key.pem",
        "tests/test_x.py",
        "notes.txt",
    ):
        (checkout.path / stray).parent.mkdir(exist_ok=True)
        (checkout.path / stray).write_text("a secret", encoding="utf-8")
    listing = tmp_path / "Dockerfile.listing"
    listing.write_text(
        f"FROM {base_image()}\nCOPY . /context\nRUN cd /context && find . -type f >/listing\n",
        encoding="utf-8",
    )
    engine.need_image(base_image())
    engine.run(
        *("build", "--file", str(listing), "--tag", tag, str(checkout.path)),
        environment={"DOCKER_BUILDKIT": "0"},
    )
    sent = engine.run("run", "--rm", tag, "cat", "/listing").splitlines()
    allowed = re.compile(
        r"\./(mlapi/|models/|requirements/|scripts/image/|pyproject\.toml$|README\.md$|LICENSE$|NOTICE$"
        r"|Dockerfile$|\.dockerignore$)"  # the builder itself needs these two
    )
    assert len(sent) > 100
    assert [name for name in sent if not allowed.match(name)] == []
    assert [name for name in sent if ".env" in name] == []
