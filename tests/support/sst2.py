"""Where the real data lies, which is no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "MLAPI_SST2_DIR"
BESIDE = Path(__file__).parents[3] / "shared" / "data" / "sst2"


def sst2_directory() -> Path:
    """Return the folder with SST-2's train.tsv, dev.tsv and test.tsv, or skip the test."""
    directory = Path(os.environ.get(VARIABLE) or BESIDE)
    if not (directory / "train.tsv").is_file():
        pytest.skip(f"no SST-2 data: set {VARIABLE} to a folder with train.tsv, dev.tsv and test.tsv")
    return directory
