"""The pictures of an evaluation, where matplotlib is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import run_cli
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_each_variant_gets_both_pictures(tmp_path: Path, activation: str) -> None:
    """If this fails, --pictures draws nothing, or not for labels that do not exclude each other."""
    model = make_tiny_model(tmp_path / "model", activation=activation)  # type: ignore[arg-type]
    data = tmp_path / "reviews.tsv"
    data.write_text("sentence\tlabel\na great film\t1\na dull plot\t0\n", encoding="utf-8")
    folder = tmp_path / "pictures"
    done = run_cli("model", "evaluate", str(model.path), "--data", str(data), "--pictures", str(folder))
    assert done.returncode == 0, done.stderr
    drawn = sorted(folder.iterdir())
    assert len(drawn) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in drawn)
