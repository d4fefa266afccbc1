"""The values that travel between layers: frozen, slotted, and knowing nothing of any of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NewType

ModelVersion = NewType("ModelVersion", str)
"""Digest over what defines a model's answers: labels, activation, tokenizer, base weights."""

VariantId = NewType("VariantId", str)
"""Digest over the files of one engine variant of a model."""

CacheKey = NewType("CacheKey", bytes)
"""What one text's answer is stored under; see `mlapi.cache.codec`."""


class Lane(Enum):
    """Who waits for an answer: requests with few texts left to compute, or with many."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


Activation = Literal["softmax", "sigmoid"]

Probabilities = tuple[float, ...]
"""One probability per label, in the order of the model's label ids, each exact in float32."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One text, ready for an engine.

    Attributes:
        payload: Token ids with special tokens for a `TokenEngine`, the text itself for a `TextEngine`.
        length: What the text costs, in tokens, before padding.
        truncated: Whether tokens beyond the model's maximum length were cut off.
    """

    payload: list[int] | str
    length: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text; hit or miss, the same value."""

    probabilities: Probabilities
    truncated: bool


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model, and which variant of it, gives the answers.

    Attributes:
        name: Name in the manifest.
        version: Digest over what defines the answers.
        variant: Name of the engine variant, such as `onnx-fp32`.
        variant_id: Digest over that variant's own files.
        engine: Engine that runs the variant, such as `onnx`.
        labels: Label names, by label id.
        max_length: Longest token sequence the model takes; None where it has no limit.
        activation: What turns logits into probabilities.
        precision: What the variant computes in, such as `int8`.
        reason: Why this variant, for people.
    """

    name: str
    version: ModelVersion
    variant: str
    variant_id: VariantId
    engine: str
    labels: tuple[str, ...]
    max_length: int | None
    activation: Activation
    precision: str = "fp32"
    reason: str = "asked for by name"


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides which variant is the fastest here.

    Attributes:
        arch: `x86-64`, `arm64`, or whatever else the system says.
        flags: What the CPU can do, as `/proc/cpuinfo` names it.
        cuda: Whether torch is installed and has an NVIDIA device to run on.
    """

    arch: str
    flags: frozenset[str] = frozenset()
    cuda: bool = False


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one request's time went, in seconds.

    Attributes:
        cache: Waiting for the cache lookup.
        tokenize: Waiting for tokenisation, its queue included.
        queue: The longest that a text of the request waited for its batch.
        infer: Engine time of the batches that carried the request's texts.
    """

    cache: float = 0.0
    tokenize: float = 0.0
    queue: float = 0.0
    infer: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one request: a prediction per text, in order, and how each was come by.

    `hits + misses + coalesced` is the number of texts. A repetition inside the request counts as a hit
    where its text was cached and as coalesced where it was not.
    """

    predictions: list[Prediction]
    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    timings: Timings = field(default_factory=Timings)

    @property
    def truncated(self) -> int:
        """How many of the texts were longer than the model's maximum length."""
        return sum(prediction.truncated for prediction in self.predictions)
