"""A training run's state on disk: written whole or not at all, and refused by any other run."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from mlapi.errors import ConfigurationError
from mlapi.models.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlapi.training.loop import Evaluation

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Digest everything that decides what a run does: settings, data digests, versions."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class Checkpoints:
    """The checkpoint and the metrics of one run in its work directory."""

    def __init__(self, work: Path, run: str) -> None:
        """Keep where the checkpoint lies.

        Args:
            work: The work directory; made by the first save.
            run: The run's fingerprint.
        """
        self._path = work / CHECKPOINT
        self._run = run

    def load(self) -> dict[str, Any] | None:
        """Return the state that was saved last, or None where there is none.

        Raises:
            ConfigurationError: The checkpoint is another run's, or cannot be read.
        """
        import torch

        if not self._path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
            run = state.pop("run")
        except Exception as error:  # torch raises whatever the file provokes
            raise ConfigurationError(f"{self._path} cannot be read; delete it to start again") from error
        if run != self._run:
            raise ConfigurationError(
                f"{self._path} belongs to a run with other data or settings; delete it to start again, or "
                "choose another --work"
            )
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state in one rename, synced to disk.

        Raises:
            ConfigurationError: The disk is full, or the work directory cannot be written.
        """
        import torch

        partial = self._path.with_name(f".{self._path.name}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                torch.save({**state, "run": self._run}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._path)
        except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
            partial.unlink(missing_ok=True)
            raise ConfigurationError(
                f"{self._path} cannot be written ({error}); make room or choose another --work, and run the "
                "same command again"
            ) from error

    def record(self, history: Sequence[Evaluation]) -> None:
        """Write the evaluations beside the checkpoint, one JSON object a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(evaluation) + "\n" for evaluation in history)
        write_atomically(self._path.with_name(METRICS), lines.encode())
