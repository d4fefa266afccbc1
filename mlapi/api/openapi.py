"""What the routes that read and write their bodies themselves say of them in the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlapi.api.schemas import ProblemDetails

if TYPE_CHECKING:
    from mlapi.api.schemas import RequestBase

ONE_EXAMPLE = {"text": "A warm, funny film with a wonderful cast."}
MANY_EXAMPLE = {"text": ["I laughed from start to finish.", "The plot goes nowhere and the jokes fall flat."]}


def request_body(model: type[RequestBase], examples: dict[str, object]) -> dict[str, Any]:
    """Document a body that the route reads by itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": model.model_json_schema(),
                    "examples": {name: {"value": value} for name, value in examples.items()},
                }
            },
        }
    }


def _problem_schema() -> dict[str, Any]:
    """Return the schema of a problem in one piece: a reference into it would point nowhere."""
    schema = ProblemDetails.model_json_schema()
    (place,) = schema.pop("$defs").values()
    schema["properties"]["errors"]["anyOf"][0]["items"] = place
    return schema


def prediction_responses() -> dict[int | str, dict[str, Any]]:
    """Document headers and problems of the predicting routes."""
    described = {
        400: "Not JSON, or not UTF-8.",
        413: "Too many bytes or texts.",
        415: "A media type or content encoding that is not served.",
        422: "The body does not fit the schema.",
        500: "A fault of the service.",
        503: "Overloaded, starting or draining; see Retry-After.",
        504: "The request's time ran out.",
    }
    headers = {
        "X-Request-ID": "The request's id: the one sent, when sane, or a new one.",
        "X-Model-Version": "Digest over what defines the model's answers.",
        "X-Cache": "How many texts were cached, computed, or computed once for several.",
        "X-Truncated": "How many texts were longer than the model takes.",
        "Server-Timing": "Milliseconds in cache, tokenizer, queue and engine.",
    }
    documented = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    problems: dict[int | str, dict[str, Any]] = {
        status: {
            "description": text,
            "content": {"application/problem+json": {"schema": _problem_schema()}},
        }
        for status, text in described.items()
    }
    return {200: {"headers": documented}, **problems}
