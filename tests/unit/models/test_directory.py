from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlapi.errors import DigestMismatch, ManifestError, VariantUnavailable
from mlapi.models.directory import ModelDirectory
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> ModelDirectory:
    """Return a sound model directory with two variants that the test may spoil."""
    tiny = make_tiny_model(tmp_path / "model", variants={"onnx-fp32": 0.0, "onnx-other": 0.0})
    return ModelDirectory.open(tiny.path)


def test_open_reads_the_manifest(directory: ModelDirectory) -> None:
    """If it fails, a directory's path and its manifest come apart."""
    assert directory.manifest.name == "tiny"
    assert directory.path.name == "model"


def test_open_refuses_what_is_no_model_directory(tmp_path: Path) -> None:
    """If it fails, an empty directory is taken for a model."""
    with pytest.raises(ManifestError, match="no manifest"):
        ModelDirectory.open(tmp_path)


def test_variant_is_found_by_name(directory: ModelDirectory) -> None:
    """If it fails, asking for one variant gives another."""
    assert directory.variant("onnx-other").files == ("onnx/onnx-other.onnx",)


def test_unknown_variant_names_those_that_exist(directory: ModelDirectory) -> None:
    """If it fails, a mistyped variant gives an error that does not say what could be typed instead."""
    with pytest.raises(VariantUnavailable) as caught:
        directory.variant("openvino-int8")
    assert str(caught.value) == (
        f"{directory.path} has no variant 'openvino-int8'; it has: onnx-fp32, onnx-other (or auto)"
    )


def test_verify_passes_on_untouched_files(directory: ModelDirectory) -> None:
    """If it fails, no model passes its own digests."""
    directory.verify([*directory.manifest.files, *directory.manifest.files])


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "onnx/onnx-fp32.onnx"]
)
def test_verify_names_a_changed_file(directory: ModelDirectory, name: str) -> None:
    """If it fails, a damaged or exchanged file is served, or the error does not say which it is."""
    file = directory.path / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DigestMismatch) as caught:
        directory.verify(directory.manifest.files)
    message = str(caught.value)
    assert message.startswith(f"{file} has SHA-256 ")
    assert directory.manifest.files[name].sha256[:12] in message
    assert message.endswith("restore the file or make the directory anew")


def test_verify_names_a_missing_file(directory: ModelDirectory) -> None:
    """If it fails, a file that was left out of an image ends in a traceback."""
    file = directory.path / "onnx" / "onnx-fp32.onnx"
    file.unlink()
    with pytest.raises(DigestMismatch) as caught:
        directory.verify(["config.json", "onnx/onnx-fp32.onnx"])
    assert str(caught.value) == f"{file} cannot be read: No such file or directory"


def test_verify_names_a_directory_in_place_of_a_file(directory: ModelDirectory) -> None:
    """If it fails, a volume mounted over a file ends in a traceback."""
    file = directory.path / "tokenizer.json"
    file.unlink()
    file.mkdir()
    with pytest.raises(DigestMismatch, match=r"tokenizer\.json cannot be read: Is a directory"):
        directory.verify(["tokenizer.json"])


def test_verify_reads_only_what_it_is_asked_for(directory: ModelDirectory) -> None:
    """If it fails, an image with one variant cannot start because another variant's files are absent."""
    (directory.path / "onnx" / "onnx-other.onnx").unlink()
    directory.verify(["config.json", "onnx/onnx-fp32.onnx"])


def test_verify_refuses_a_file_without_digest(directory: ModelDirectory) -> None:
    """If it fails, a file that nothing vouches for is loaded."""
    with pytest.raises(ManifestError, match=r"manifest\.json has no digest for extra\.bin"):
        directory.verify(["extra.bin"])


def test_labels_that_agree_pass(directory: ModelDirectory) -> None:
    """If it fails, no model passes the check of its labels."""
    directory.verify_labels()


def test_labels_that_differ_are_shown_on_both_sides(directory: ModelDirectory) -> None:
    """If it fails, swapped labels turn every answer into its opposite, with nobody told."""
    config = directory.path / "config.json"
    config.write_text(json.dumps({"id2label": {"0": "POSITIVE", "1": "NEGATIVE"}}), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        directory.verify_labels()
    assert str(caught.value) == (
        f"{config} says id2label is {{0: 'POSITIVE', 1: 'NEGATIVE'}}, "
        "the manifest says {0: 'NEGATIVE', 1: 'POSITIVE'}"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"id2label": null}',
        b'{"id2label": ["A", "B"]}',
        b'{"id2label": {"zero": "A"}}',
    ],
)
def test_config_without_usable_labels_is_refused(directory: ModelDirectory, content: bytes) -> None:
    """If it fails, a damaged config.json crashes the start instead of being named."""
    config = directory.path / "config.json"
    config.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        directory.verify_labels()
    assert str(caught.value) == f"{config} cannot be read or has no usable id2label"


def test_missing_config_is_refused(directory: ModelDirectory) -> None:
    """If it fails, a directory without config.json ends in a traceback."""
    (directory.path / "config.json").unlink()
    with pytest.raises(ManifestError, match=r"config\.json cannot be read"):
        directory.verify_labels()
