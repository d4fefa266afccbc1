"""The `torch` engine: transformers' own classifier in float32. The reference, and the way to a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.engines.padding import pad_batch
from mlapi.errors import ModelError, VariantUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class TorchEngine:
    """Runs `AutoModelForSequenceClassification`, on CUDA where there is a device."""

    name = "torch"

    def __init__(self, directory: Path, *, threads: int, pad_id: int) -> None:
        """Load the model from a local directory; nothing is looked up on a hub.

        Args:
            directory: Holds `config.json` and `model.safetensors`.
            threads: CPU threads for one inference call; sets torch's process-wide number.
            pad_id: Token id to pad with.

        Raises:
            VariantUnavailable: torch or transformers is not installed.
            ModelError: transformers cannot load the directory.
        """
        try:
            import torch
            from transformers import AutoModelForSequenceClassification
            from transformers.utils import logging as transformers_logging
        except ImportError as error:
            raise VariantUnavailable(
                "the torch engine needs torch and transformers: run make venv-torch, use .venv-torch"
            ) from error

        self._torch = torch
        transformers_logging.disable_progress_bar()  # a log is not a terminal
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,  # where it is left out, a terminal is asked
                dtype=torch.float32,
            )
        except Exception as error:  # transformers raises whatever the file provokes
            raise ModelError(f"{directory} cannot be loaded by transformers; make it anew") from error
        self._model = model.to(self._device).eval()
        self._pad_id = pad_id

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels)."""
        torch = self._torch
        input_ids, attention_mask = pad_batch(batch, pad_id=self._pad_id)
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(input_ids).to(self._device),
                attention_mask=torch.from_numpy(attention_mask).to(self._device),
            )
        logits: NDArray[np.float32] = output.logits.float().cpu().numpy()
        return logits

    def close(self) -> None:
        """Drop the model."""
        del self._model
