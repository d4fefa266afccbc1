from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlapi.api.schemas import (
    Health,
    LabelScore,
    Limits,
    ManyPredictions,
    ProblemDetails,
    RequestBase,
    SinglePrediction,
    bulk_request,
    predict_request,
)

LIMITS = Limits(texts=2, chars=3, bytes=100)


@pytest.mark.parametrize("value", ["", "abc", [], ["a"], ["abc", "abc"]])
def test_predict_takes_one_text_or_several(value: object) -> None:
    """If it fails, one of the two documented forms of a request is refused."""
    body: Any = predict_request(LIMITS).model_validate({"text": value})
    assert body.text == value


@pytest.mark.parametrize("make", [predict_request, bulk_request])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": None},
        {"text": 1},
        {"text": b"a"},
        {"text": ("a",)},
        {"text": {"a"}},
        {"text": ["abcd"]},
        {"text": ["a"] * 3},
        {"text": [["a"]]},
        {"text": ["a"], "more": 1},
    ],
)
def test_everything_else_is_refused(make: Any, body: object) -> None:
    """If it fails, something is silently converted, cut or ignored."""
    with pytest.raises(ValidationError):
        make(LIMITS).model_validate(body)


def test_bulk_takes_lists_alone() -> None:
    """If it fails, bulk answers a single text in a form that it does not document."""
    with pytest.raises(ValidationError):
        bulk_request(LIMITS).model_validate({"text": "a"})


def test_requests_cannot_be_changed() -> None:
    """If it fails, a texts list can be swapped between validation and use."""
    body: RequestBase = predict_request(LIMITS).model_validate({"text": "a"})
    with pytest.raises(ValidationError):
        body.text = "b"  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [predict_request, bulk_request])
def test_limits_stand_in_the_documentation(make: Any) -> None:
    """If it fails, clients cannot read the limits from the description."""
    described = str(make(LIMITS).model_json_schema())
    assert "'maxLength': 3" in described
    assert "'maxItems': 2" in described


def test_answers_are_described() -> None:
    """If it fails, generated clients do not know the fields of an answer."""
    assert set(SinglePrediction.model_fields) == {"prediction"}
    assert set(ManyPredictions.model_fields) == {"predictions"}
    assert set(LabelScore.model_fields) == {"label", "score"}
    assert set(Health.model_fields) == {"status", "time", "model", "engine", "cache"}
    assert set(ProblemDetails.model_fields) == {"type", "title", "status", "detail", "request_id", "errors"}
