from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from mlapi.engines.factory import load_classifier
from mlapi.engines.torch import TorchEngine
from mlapi.errors import VariantUnavailable
from tests.support.model_directory import edit_manifest, make_tiny_model, reseal

if TYPE_CHECKING:
    from pathlib import Path

ADVICE = r"the torch engine needs torch and transformers: run make venv-torch"


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_missing_library_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """If it fails, asking for torch in the default install ends in an ImportError without advice."""
    monkeypatch.setitem(sys.modules, library, None)  # makes its import fail, installed or not
    with pytest.raises(VariantUnavailable, match=ADVICE):
        TorchEngine(tmp_path, threads=1, pad_id=0)


@pytest.mark.parametrize("variant", ["auto", "torch-fp32"])
def test_directory_with_torch_alone_is_refused_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    """If it fails, the default install does not say why it cannot serve a model without an ONNX graph."""
    monkeypatch.setitem(sys.modules, "torch", None)
    path = make_tiny_model(tmp_path / "model", variants={"torch-fp32": 0.0}).path
    change = {"engine": "torch", "files": ["model.safetensors"]}
    edit_manifest(path, lambda content: content["variants"]["torch-fp32"].update(change))
    reseal(path)
    with pytest.raises(VariantUnavailable, match=ADVICE):
        load_classifier(path, variant=variant, threads=1)
