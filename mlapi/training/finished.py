"""Whether a run's model is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.errors import ModelError
from mlapi.models.directory import ModelDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.models.manifest import Manifest, Training


def finished_model(out: Path, training: Training, *, measured: str) -> Manifest | None:
    """Return the manifest of the model that this very run wrote, if it is whole and measured.

    Args:
        out: Where the model belongs.
        training: What the run records of itself.
        measured: The data set that is measured last.
    """
    try:
        directory = ModelDirectory.open(out)
        directory.verify(directory.manifest.files)
    except ModelError:
        return None
    manifest = directory.manifest
    done = all(measured in variant.measured for variant in manifest.variants.values())
    return manifest if done and manifest.training == training else None
