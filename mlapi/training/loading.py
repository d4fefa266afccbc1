"""Reading a transformers classifier from disk, so that nothing in it is executed or made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mlapi.errors import ModelError
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel


def load_model(directory: Path, *, allow_pickle: bool = False) -> PreTrainedModel:
    """Load a sequence classifier for export: float32, evaluation mode, attention written out.

    Args:
        directory: `config.json` with weights in safetensors, in one file or in several.
        allow_pickle: Whether to read `pytorch_model.bin` instead; tensors alone are taken from it, nothing in
            it is executed.

    Raises:
        ModelError: transformers cannot load the directory, or some weights of the classifier are not in it.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        with quiet():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=not allow_pickle,
                weights_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises whatever the file provokes
        raise ModelError(f"{directory} cannot be loaded by transformers: {_first_line(error)}") from error
    if missing := sorted(loading["missing_keys"]):
        # transformers would fill these with random numbers, and say so in a remark alone.
        raise ModelError(
            f"the weights in {directory} lack {', '.join(missing[:4])}{', …' if missing[4:] else ''}: it is "
            "no fine-tuned sequence classifier; train it first, or name another model"
        )
    return cast("PreTrainedModel", model.eval())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
