"""The wire models: what requests may look like, and what responses look like in the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    StringConstraints,
    Tag,
    create_model,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one route takes: texts per request, characters per text, bytes per body."""

    texts: int
    chars: int
    bytes: int


class RequestBase(BaseModel):
    """A request body: no field but the known ones, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


ONE = "one"
MANY = "many"


def _form(value: object) -> str:
    return MANY if isinstance(value, list) else ONE


def predict_request(limits: Limits) -> type[RequestBase]:
    """Make the body model of `predict`: one text or a list of texts, within the limits."""
    one = Annotated[str, StringConstraints(max_length=limits.chars)]
    many = Annotated[list[one], Field(max_length=limits.texts)]
    either = Annotated[Annotated[one, Tag(ONE)] | Annotated[many, Tag(MANY)], Discriminator(_form)]
    description = "One text, or a list of texts."
    fields: dict[str, Any] = {"text": (either, Field(description=description))}
    return create_model("PredictRequest", __base__=RequestBase, **fields)


def bulk_request(limits: Limits) -> type[RequestBase]:
    """Make the body model of `bulk-predict`: a list of texts within the limits.

    Validation stops at the first text that does not fit: reporting thousands would hold the event loop.
    """
    one = Annotated[str, StringConstraints(max_length=limits.chars)]
    many = Annotated[list[one], FailFast(), Field(max_length=limits.texts, description="The texts.")]
    fields: dict[str, Any] = {"text": (many, ...)}
    return create_model("BulkPredictRequest", __base__=RequestBase, **fields)


class LabelScore(BaseModel):
    """One label with its score."""

    label: str = Field(examples=["POSITIVE"])
    score: float = Field(ge=0, le=1, examples=[0.98])


class SinglePrediction(BaseModel):
    """All labels of one text, highest score first."""

    prediction: list[LabelScore]


class ManyPredictions(BaseModel):
    """For each text, in order, all labels, highest score first."""

    predictions: list[list[LabelScore]]


class ModelHealth(BaseModel):
    """Which model answers."""

    name: str
    version: str
    variant: str
    precision: str = Field(description="What the variant computes in.", examples=["int8"])
    reason: str = Field(
        description="Why this variant, with those that were tried before it.",
        examples=["fastest of 4 on x86-64 with AVX512-VNNI"],
    )
    labels: list[str]
    max_length: int | None


class Health(BaseModel):
    """Whether this process should get requests."""

    status: Literal["healthy", "starting", "draining", "stuck"]
    time: str = Field(description="ISO 8601, UTC.")
    model: ModelHealth | None
    engine: str | None
    cache: str | None = Field(
        description="`ok`, `down` or `off`; `unknown` until Redis was first asked. The service "
        "works in every case."
    )


class Liveness(BaseModel):
    """Whether this process should be left running."""

    status: Literal["alive", "dead"]


class ErrorPlace(BaseModel):
    """One error of a body."""

    loc: list[str | int] = Field(description="Where, from the body inwards: fields and list positions.")
    msg: str
    type: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:mlapi:problem:invalid-request"])
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ErrorPlace] | None = None
