from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlapi.errors import ModelError
from mlapi.models.weights import check_safetensors
from tests.support.hub_models import safetensors

if TYPE_CHECKING:
    from pathlib import Path


def _check(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    check_safetensors(path)


def _entry(kind: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def test_whole_files_are_taken(tmp_path: Path) -> None:
    """If it fails, good weights are refused: of another order or type, a scalar, an empty tensor."""
    _check(tmp_path, safetensors(64))
    header = {
        "second": _entry("F16", [3, 2], 20, 32),
        "first": _entry("F32", [5], 0, 20),
        "scalar": _entry("I64", [], 32, 40),
        "none": _entry("F32", [0, 7], 40, 40),
    }
    _check(tmp_path, safetensors(40, header=header))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"<!doctype html>" * 9,
        safetensors(64)[:-1],
        safetensors(64) + b"\0",
        safetensors(64)[:40],
        safetensors(0, header={}),
        safetensors(0, header={"__metadata__": {}}),
        safetensors(8, header={"a": _entry("F32", [2], 0, 4)}),
        safetensors(8, header={"a": _entry("F32", [1], 0, 4), "b": _entry("F32", [2], 0, 8)}),
        safetensors(8, header={"a": _entry("F32", [1], 4, 8)}),
        safetensors(8, header={"a": _entry("F32", [-2], 0, -8)}),
        safetensors(8, header={"a": _entry("Q4", [2], 0, 8)}),
        safetensors(8, header={"a": {"dtype": "F32"}}),
        safetensors(8, header={"a": [1]}),
        (9).to_bytes(8, "little") + b"not json!",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, data: bytes) -> None:
    """If it fails, weights that were cut short, or are something else, are found out when they are loaded."""
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        _check(tmp_path, data)
