"""build-push.sh among stand-ins: which model goes in, and what goes with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.build_push import after, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.scripts.checkout import Checkout
    from tests.support.deploy.scripts.standins import StandIns


def test_the_model_is_checked_before_anything_is_built(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, a model whose files do not fit its manifest is shipped, and no pod of it starts."""
    build_tools.on("mlapi model verify", "BAD   file model.onnx\n", status=1)
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 1
    assert "BAD   file model.onnx" in done.stderr
    assert "export it again" in done.stderr
    assert not build_tools.calls("docker build")


def test_what_is_built_is_what_git_knows_and_the_manifest_names(
    checkout: Checkout, build_tools: StandIns, tmp_path: Path
) -> None:
    """If it fails, secrets, editors' leftovers or stray weights of the checkout end in the image."""
    for stray in (".env", "models/starter/notes.txt", "models/other/manifest.json", "mlapi/.env"):
        (checkout.path / stray).parent.mkdir(exist_ok=True)
        (checkout.path / stray).write_text("a secret", encoding="utf-8")
    (checkout.path / ".git/info/exclude").write_text("notes.txt\n", encoding="utf-8")
    listing = tmp_path / "listing"
    build_tools.on("docker build", script=f'cd "${{@: -1}}" && find . -type f | sort >"{listing}"')
    done = run(checkout, build_tools, "--no-push")
    assert done.returncode == 0, done.stderr
    sent = {line.removeprefix("./") for line in listing.read_text("utf-8").splitlines()}
    assert {
        "Dockerfile",
        ".dockerignore",
        "mlapi/cli.py",
        "requirements/runtime.txt",
        "models/lab/manifest.json",
    } < sent
    assert {"models/default/manifest.json", "models/default/tokenizer.json"} < sent
    assert not [name for name in sent if "secret" in name or name.endswith((".env", "notes.txt"))]
    assert not [
        name for name in sent if name.startswith(("models/starter", "models/other", "tests", ".git/"))
    ]


def test_a_directory_without_a_manifest_is_exported_once(
    checkout: Checkout, build_tools: StandIns, tmp_path: Path
) -> None:
    """If it fails, what transformers saved cannot be shipped, or each run exports it again for minutes."""
    saved = tmp_path / "my classifier"
    saved.mkdir()
    (saved / "config.json").write_text("{}", encoding="utf-8")
    made = checkout.path / "models/starter"
    build_tools.on("mlapi model export", script=f'mkdir -p "$(dirname "$5")" && cp -R "{made}" "$5"')
    for _ in range(2):
        done = run(checkout, build_tools, "--no-push", "--model", str(saved))
        assert done.returncode == 0, done.stderr
    (export,) = build_tools.calls("mlapi model export")
    assert after(export.arguments, "--name") == ["my-classifier"]
    (saved / "config.json").write_text('{"changed": true}', encoding="utf-8")
    assert run(checkout, build_tools, "--no-push", "--model", str(saved)).returncode == 0
    assert len(build_tools.calls("mlapi model export")) == 2


def test_a_variant_that_fails_its_gate_is_not_shipped_unasked(
    checkout: Checkout, build_tools: StandIns, tmp_path: Path
) -> None:
    """If it fails, production serves float32, far slower than it was sized for, and nobody was asked."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/config.json").write_text("{}", encoding="utf-8")
    made = checkout.path / "models/starter"
    build_tools.on(
        "mlapi model export",
        script=f"""mkdir -p "$(dirname "$5")" && cp -R "{made}" "$5"
            echo 'mlapi: onnx-int8 was not written: it agrees on 97 %' >&2
            exit 1""",
    )
    done = run(checkout, build_tools, "--no-push", "--model", str(tmp_path / "saved"))
    assert done.returncode == 1
    assert "onnx-int8 was not written" in done.stderr
    assert not build_tools.calls("docker build")
    (hint,) = re.findall(r"--model (\S+\.incomplete)", done.stderr)
    assert run(checkout, build_tools, "--no-push", "--model", hint).returncode == 0


@pytest.mark.parametrize(
    ("model", "said"),
    [("nowhere", "there is no model"), ("owner/name", "there is no model"), ("mlapi", "no model")],
)
def test_what_is_no_model_is_named(checkout: Checkout, build_tools: StandIns, model: str, said: str) -> None:
    """If it fails, a slip in a path is looked for on a hub, or a hub model has no revision."""
    done = run(checkout, build_tools, "--no-push", "--model", model)
    assert done.returncode == 1
    assert said in done.stderr
    assert not build_tools.calls("mlapi model pull")


def test_a_model_that_cannot_be_pulled_ends_the_run(checkout: Checkout, build_tools: StandIns) -> None:
    """If it fails, an image is built with another model than the one that was asked for."""
    build_tools.on("mlapi model pull", stderr="mlapi: someone/films is not on the hub\n", status=1)
    done = run(checkout, build_tools, "--no-push", "--model", "someone/films@main")
    assert done.returncode == 1
    assert "could not be pulled" in done.stderr
    assert [call.arguments[-1] for call in build_tools.calls("make")] == ["venv-torch"]
    assert not build_tools.calls("docker build")
