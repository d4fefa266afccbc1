"""Checking that a safetensors file is whole, without loading it.

The format: eight bytes with the length of the header, little-endian; the header, a JSON object with type,
shape and offsets of each tensor; then the tensors, one after the other, up to the end of the file.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from mlapi.errors import ModelError

LENGTH = struct.Struct("<Q")
LONGEST_HEADER = 100_000_000
"""The limit of the format's own reader."""

BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""By type, the bytes of one number; types of quantised weights are not taken."""


def check_safetensors(path: Path) -> None:
    """Check the header, and that the tensors fill the rest of the file without gap or overlap.

    Raises:
        ModelError: They do not; the message says what is wrong, and does not name the file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(LENGTH.size)
        length = LENGTH.unpack(start)[0] if len(start) == LENGTH.size else LONGEST_HEADER
        if length >= min(LONGEST_HEADER, size):
            raise _malformed("its header is longer than the file, or is missing")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        spans = sorted(_span(entry) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _malformed("its header is not what the format says") from None
    end = 0
    for begin, until in spans:
        if begin != end:
            raise _malformed("its tensors leave a gap or overlap")
        end = until
    if not spans or LENGTH.size + length + end != size:
        raise _malformed("its tensors do not fill the file")


def _span(entry: dict[str, Any]) -> tuple[int, int]:
    begin, until = entry["data_offsets"]
    if (
        min(begin, *entry["shape"], 0) < 0
        or until - begin != math.prod(entry["shape"]) * BYTES[entry["dtype"]]
    ):
        raise ValueError("offsets and shape disagree")
    return begin, until


def _malformed(what: str) -> ModelError:
    return ModelError(f"not a whole safetensors file: {what}")
