"""Tokenisation from a model's own `tokenizer.json`, by the `tokenizers` library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.errors import ModelError
from mlapi.types import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FastTokenizer:
    """A `Tokenizer` that is safe to call from several threads: encoding changes none of its state."""

    def __init__(self, path: Path, *, max_length: int) -> None:
        """Load `tokenizer.json`.

        Args:
            path: The file.
            max_length: Longest sequence to produce, special tokens included.

        Raises:
            ModelError: The file cannot be read as a tokenizer.
        """
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ModelError(
                f"{path} cannot be read as a tokenizer; make the model directory anew"
            ) from error
        # What the file may carry of padding and truncation belongs to whoever saved it, not to serving.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode each text with special tokens, cut to the maximum length, unpadded."""
        return [
            Encoding(payload=encoded.ids, length=len(encoded.ids), truncated=bool(encoded.overflowing))
            for encoded in self._tokenizer.encode_batch_fast(list(texts))
        ]
