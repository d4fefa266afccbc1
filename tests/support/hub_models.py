"""Files as a repository of a model hub holds them, made without torch: no scores, only files to look at."""

from __future__ import annotations

import json
import struct
from typing import Any

VOCABULARY = (
    *(
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "film",
        "is",
        "good",
        "bad",
        "un",
        "##good",
        "##s",
    ),
    *("!", ",", ".", "e", "é", "##e", "中", "国"),
)
CONFIG: dict[str, Any] = {
    "model_type": "distilbert",
    "architectures": ["DistilBertForSequenceClassification"],
    "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
    "vocab_size": len(VOCABULARY),
}


def as_json(value: object) -> bytes:
    """Return a JSON file's bytes."""
    return json.dumps(value, ensure_ascii=False).encode()


def safetensors(size: int = 64, *, header: dict[str, Any] | None = None) -> bytes:
    """Return a well-formed file with one tensor of so many bytes, or one with the header that is given."""
    data = bytes(index * 31 % 251 for index in range(min(size, 1 << 12)))
    data = (data * (size // max(len(data), 1) + 1))[:size]
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    raw = as_json({"__metadata__": {"format": "pt"}, "weight": entry} if header is None else header)
    return struct.pack("<Q", len(raw)) + raw + data


def classifier(*, size: int = 64, **config: Any) -> dict[str, bytes]:
    """Return a DistilBERT classifier as the default one is stored: a vocabulary, and no tokenizer.json.

    Args:
        size: Bytes of its one tensor.
        config: On top of `CONFIG`; None leaves an entry out.
    """
    merged = {name: value for name, value in {**CONFIG, **config}.items() if value is not None}
    return {
        "config.json": as_json(merged),
        "vocab.txt": "".join(f"{piece}\n" for piece in VOCABULARY).encode(),
        "tokenizer_config.json": as_json({"do_lower_case": True, "model_max_length": 512}),
        "model.safetensors": safetensors(size),
        "README.md": b"# A card, which a pull leaves where it is\n",
        "modeling.py": b"raise SystemExit('code of a repository must never run')\n",
    }
