"""A model directory in the form that transformers and optimum read."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COPIED = ("config.json", "tokenizer.json")
"""Libraries write these back into the folder that they read; a link would let them write into the model."""

LINKED = ("model.safetensors", "onnx/model.onnx")

TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 512,
    "model_input_names": ["input_ids", "attention_mask"],
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""What a DistilBERT on the model hub brings in tokenizer_config.json, and a model directory of ours does not.

Without it, transformers knows of no longest sequence, and cuts no text.
"""

PADDING = "[PAD]"


def transformers_folder(model: Path, folder: Path, *, padding: str = PADDING) -> Path:
    """Put the model's files into a folder beside a tokenizer_config.json; large ones are links.

    Args:
        model: The model directory; onnx/model.onnx is taken if it is there.
        folder: The server's own. A folder in it is made anew, since some servers leave graphs of their own
            beside the files that they read, and take those the next time.
        padding: The token to pad with.

    Returns:
        The folder that was made.
    """
    made = folder.absolute() / "transformers-files"
    if made.exists():
        shutil.rmtree(made)
    (made / "onnx").mkdir(parents=True)
    for name in COPIED:
        shutil.copyfile(model / name, made / name)
    for name in LINKED:
        if (model / name).exists():
            (made / name).symlink_to((model / name).absolute())
    path = made / "tokenizer_config.json"
    path.write_text(json.dumps(TOKENIZER | {"pad_token": padding}, indent=2) + "\n", encoding="utf-8")
    return made
