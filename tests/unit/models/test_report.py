from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.models.report import summary
from tests.support.model_directory import edit_manifest, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

INT8 = {"onnx-fp32": 0.0, "openvino-int8": 0.0}


def test_precision_and_gate_of_each_variant_are_shown(tmp_path: Path) -> None:
    """If it fails, nobody sees what a quantised variant was held against before it was shipped."""
    page = summary(make_tiny_model(tmp_path / "model", variants=INT8).path)
    assert "fp32  accuracy not measured" in page
    assert "int8  accuracy not measured" in page
    assert "gate: 1,000 texts, 900 labelled" in page
    assert "agreement 99.50%, accuracy lost 0.10 points" in page
    assert "scores differ by 0.0010, at most by 0.0200" in page
    assert page.count("gate") == 1


def test_what_was_not_gated_and_the_remedy_are_shown(tmp_path: Path) -> None:
    """If it fails, a gate that checked half of what it should looks like a whole one."""
    model = make_tiny_model(tmp_path / "model", variants=INT8)

    def weaken(content: dict[str, dict[str, dict[str, dict[str, object]]]]) -> None:
        gate = content["variants"]["openvino-int8"]["gate"]
        gate.update(accuracy_loss=None, not_gated=["accuracy: no labels"], remedy="first layer in fp32")

    edit_manifest(model.path, weaken)
    page = summary(model.path)
    assert "accuracy lost not measured" in page
    assert "not gated: accuracy: no labels" in page
    assert "remedy: first layer in fp32" in page


def test_int8_without_a_gate_is_shown_as_such(tmp_path: Path) -> None:
    """If it fails, a variant that nobody checked looks like one that passed."""
    page = summary(make_tiny_model(tmp_path / "model", variants=INT8, gated=False).path)
    assert page.count("passed no gate: auto takes it last") == 1


def test_source_on_the_hub_is_shown(tmp_path: Path) -> None:
    """If it fails, it cannot be seen which files of which model a directory was made from."""
    model = make_tiny_model(tmp_path / "model")
    source = {"repository": "owner/name", "revision": "a" * 40, "files": {"model.safetensors": "b" * 64}}
    edit_manifest(model.path, lambda content: content.update(source=source))
    page = summary(model.path)
    assert f"owner/name at {'a' * 40}" in page
    assert f"model.safetensors SHA-256 {'b' * 64}" in page
