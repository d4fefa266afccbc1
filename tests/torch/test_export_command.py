"""`mlapi model export` as people type it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mlapi.errors import ConfigurationError, HubError, ModelError
from mlapi.model_cli import model_app
from mlapi.models.manifest import read_manifest
from tests.support.random_models import TEXTS, make_family

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


def write(path: Path, texts: tuple[str, ...]) -> str:
    """Write texts without labels, and return the file's name."""
    path.write_text("sentence\n" + "".join(f"{text}\n" for text in texts if text), encoding="utf-8")
    return str(path)


def test_a_folder_becomes_a_model_directory(tmp_path: Path) -> None:
    """If it fails, the command's flags do not reach the export, or nobody is told what was written."""
    source, out = tmp_path / "source", tmp_path / "out"
    model, tokenizer = make_family("distilbert")
    model.save_pretrained(source)
    tokenizer.save(str(source / "tokenizer.json"))
    sets = {"calibration": TEXTS[:8], "gate": TEXTS[8:]}
    files = [
        part for name, texts in sets.items() for part in (f"--{name}", write(tmp_path / f"{name}.tsv", texts))
    ]
    flags = ["--variants", "onnx-fp32, torch-fp32", "--weights", "fp16", "--name", "mine", "--threads", "1"]
    result = CliRunner().invoke(model_app, ["export", str(source), "--out", str(out), *files, *flags])
    assert result.exception is None
    assert result.stdout.splitlines()[1:] == ["  torch-fp32: written", "  onnx-fp32: written"]
    assert result.stderr.splitlines()[0] == f"reading {source}"
    manifest = read_manifest(out)
    assert (manifest.name, tuple(manifest.variants)) == ("mine", ("torch-fp32", "onnx-fp32"))
    assert manifest.files["model.safetensors"].bytes < 0.6 * manifest.files["onnx/model.onnx"].bytes


@pytest.mark.parametrize("name", ["./nothing", "some/where/else"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    """If it fails, a mistyped path is looked for on a hub."""
    result = CliRunner().invoke(model_app, ["export", name, "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, ModelError)
    assert "has no config.json" in str(result.exception)


def test_an_unknown_variant_is_named_before_anything_is_read(tmp_path: Path) -> None:
    """If it fails, a misspelt variant is noticed after minutes, or never."""
    arguments = ["export", "./nothing", "--out", str(tmp_path / "out"), "--variants", "onnx-int4"]
    result = CliRunner().invoke(model_app, arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert "'onnx-int4' is none of torch-fp32, onnx-fp32" in str(result.exception)


def test_a_name_that_no_manifest_takes_is_refused_at_once(tmp_path: Path) -> None:
    """If it fails, a blank in --name ends in a traceback after minutes of work."""
    arguments = ["export", "./nothing", "--out", str(tmp_path / "out"), "--name", "my model"]
    result = CliRunner().invoke(model_app, arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert "'my model' is no name" in str(result.exception)
    assert str(result.exception).endswith("try my-model")


def test_a_mistyped_folder_is_not_taken_for_a_broken_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it fails, who mistypes models/mine is told to check the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    arguments = ["export", "models/mine", "--out", str(tmp_path / "out"), "--offline"]
    result = CliRunner().invoke(model_app, arguments)
    assert isinstance(result.exception, HubError)
    assert str(result.exception).endswith("(there is no folder models/mine either)")
