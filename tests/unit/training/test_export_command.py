"""`mlapi model export` where its tools are not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from mlapi.errors import ConfigurationError
from mlapi.training.export_command import run_export

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_missing_tools_are_named_with_what_to_install(tmp_path: Path) -> None:
    """If it fails, export without its tools ends in a traceback."""
    with pytest.raises(ConfigurationError, match=r"needs torch, .*nncf: run pip install 'mlapi\[export\]'"):
        run_export("anything", tmp_path / "out", threads=1)
