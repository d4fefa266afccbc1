"""What a prediction looks like in a cache: its key and its bytes.

A value is a format byte, a byte of flags, and one little-endian float32 per label.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from mlapi.types import CacheKey, Prediction

if TYPE_CHECKING:
    from mlapi.types import ModelInfo

SCHEMA_VERSION = 1
"""Stands in every key: raise it when the meaning of a key or a value changes."""

FORMAT = 0x01
TRUNCATED = 0x01

DIGEST_BYTES = 16
"""128 bits: finding two texts with one key takes 2^64 attempts."""


class KeyMaker:
    """Makes the keys of one model: `mlapi:1:VERSION:VARIANT:MAXLENGTH:` and 16 bytes of BLAKE2b of the text.

    Whatever makes it another model changes the key, so that a new one never reads an old one's answers. How a
    release of the service rounds inside an int8 model does not.
    """

    __slots__ = ("_prefix",)

    def __init__(self, info: ModelInfo) -> None:
        """Prepare the part that all texts share.

        Args:
            info: The model and the variant that give the answers.
        """
        length = "none" if info.max_length is None else info.max_length
        self._prefix = f"mlapi:{SCHEMA_VERSION}:{info.version}:{info.variant_id}:{length}:".encode()

    def __call__(self, text: str) -> CacheKey:
        """Return the key of exactly this text; any `str`, lone surrogates included."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
        return CacheKey(self._prefix + digest)


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the bytes to store; exact, because probabilities are exact in float32."""
    flags = TRUNCATED if prediction.truncated else 0
    return _layout(len(prediction.probabilities)).pack(FORMAT, flags, *prediction.probabilities)


def decode_prediction(data: bytes, labels: int) -> Prediction | None:
    """Return the stored prediction, or None for bytes that are not one.

    Args:
        data: What the cache returned; it may have been written by anyone.
        labels: How many probabilities the model gives.
    """
    layout = _layout(labels)
    if len(data) != layout.size:
        return None
    written, flags, *probabilities = layout.unpack(data)
    if written != FORMAT or flags & ~TRUNCATED:
        return None
    for probability in probabilities:
        if not 0.0 <= probability <= 1.0:  # false for NaN too
            return None
    return Prediction(tuple(probabilities), truncated=flags == TRUNCATED)


@lru_cache
def _layout(labels: int) -> struct.Struct:
    return struct.Struct(f"<BB{labels}f")
