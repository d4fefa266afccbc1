from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from mlapi.api.body import MAX_ERRORS, check_media, parse, read_body
from mlapi.api.problems import (
    INVALID,
    NOT_JSON,
    NOT_UTF8,
    TOO_MANY_TEXTS,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    problem_response,
)
from mlapi.api.schemas import Limits, RequestBase, bulk_request, predict_request

LIMITS = Limits(texts=3, chars=5, bytes=1_000)
PREDICT = predict_request(LIMITS)
BULK = bulk_request(LIMITS)


def _parse(raw: bytes, model: type[RequestBase] = PREDICT) -> Any:
    return asyncio.run(parse(raw, model))


def _problem(raw: bytes, model: type[RequestBase] = PREDICT) -> Problem:
    with pytest.raises(Problem) as caught:
        _parse(raw, model)
    return caught.value


def _sending(*messages: dict[str, Any], **headers: str) -> Request:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def _request(body: bytes, **headers: str) -> Request:
    return _sending({"type": "http.request", "body": body, "more_body": False}, **headers)


async def test_a_body_is_read_whole() -> None:
    """If it fails, a good request is refused."""
    body: Any = await read_body(_request(b'{"text": "a"}'), PREDICT, max_texts=3)
    assert body.text == "a"


async def test_a_body_in_pieces_is_joined() -> None:
    """If it fails, what comes in several packets is refused, or cut."""
    pieces = [b'{"te', memoryview(b'xt": '), b"", b'"a"}']
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    request = _sending({"type": "other"}, *messages, {"type": "http.request"})
    body: Any = await read_body(request, PREDICT, max_texts=3)
    assert body.text == "a"


async def test_a_client_that_leaves_within_its_body_is_told_of() -> None:
    """If it fails, the request waits for a rest that never comes, or half of it is taken for the whole."""
    request = _sending(
        {"type": "http.request", "body": b'{"text": "a"}', "more_body": True}, {"type": "http.disconnect"}
    )
    with pytest.raises(ClientDisconnect):
        await read_body(request, PREDICT, max_texts=3)


async def test_media_are_looked_at_before_the_body() -> None:
    """If it fails, a form or a compressed body is called malformed JSON."""
    with pytest.raises(Problem) as caught:
        await read_body(_request(b"text=a", content_type="text/plain"), PREDICT, max_texts=3)
    assert caught.value.kind is UNSUPPORTED_MEDIA_TYPE
    with pytest.raises(Problem) as caught:
        await read_body(_request(b"\x1f\x8b", content_encoding="gzip"), PREDICT, max_texts=3)
    assert caught.value.kind is UNSUPPORTED_ENCODING


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/problem+json;charset=UTF8",
        "application/json; charset=us-ascii; q=1",
    ],
)
def test_json_in_all_its_spellings(content_type: str, encoding: str) -> None:
    """If it fails, JSON is refused for the way its media type is written."""
    check_media(content_type, encoding)


@settings(deadline=None, max_examples=300)
@given(
    content_type=st.one_of(
        st.text(alphabet=st.characters(max_codepoint=255)),
        st.text(alphabet="=;*'\" %az0", max_size=20).map(lambda text: f"application/json; charset{text}"),
    )
)
def test_odd_media_types_are_served_or_refused(content_type: str) -> None:
    """If it fails, a strange Content-Type is a fault of the service."""
    try:
        check_media(content_type, "")
    except Problem as refused:
        problem: Problem | None = refused
    else:
        problem = None
    assert problem is None or problem.kind is UNSUPPORTED_MEDIA_TYPE


@settings(deadline=None, max_examples=500)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='{}[]":,\\ udtex018ÿ\ufeff', max_size=60).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        ).map(lambda value: json.dumps({"text": value}).encode()),
    ),
    model=st.sampled_from([PREDICT, BULK]),
)
def test_every_body_is_parsed_or_a_problem(raw: bytes, model: type[RequestBase]) -> None:
    """If it fails, some body is a fault of the service."""
    try:
        body = _parse(raw, model)
    except Problem as problem:
        answer = json.loads(bytes(problem_response(problem, request_id="id").body))
    else:
        assert isinstance(body.text, str | list)
        return
    assert answer["status"] in {400, 413, 422}


@settings(deadline=None)
@given(text=st.text(max_size=5, alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_text_arrives_as_it_was_sent(text: str) -> None:
    """If it fails, some characters are changed on the way to the model."""
    assert _parse(json.dumps({"text": text}).encode()).text == text
    assert _parse(json.dumps({"text": [text]}, ensure_ascii=False).encode(), BULK).text == [text]


def test_lone_surrogates_are_named_by_their_place() -> None:
    """If it fails, a client cannot find the text that is no Unicode, or is told its JSON is bad."""
    problem = _problem(rb'{"text": ["a", "\ud800"]}')
    assert problem.kind is INVALID
    assert problem.errors[0]["loc"] == ["body", "text", 1]
    assert problem.detail == "text.1: String holds a lone surrogate, which is not a Unicode character."


def test_places_and_reasons() -> None:
    """If it fails, the kinds of malformed bodies cannot be told apart."""
    assert _problem(b'{"text": "\xff"}').kind is NOT_UTF8
    assert _problem(b'{"text"').kind is NOT_JSON
    assert _problem(b"[" * 10_000).detail == "The body is nested too deeply."
    assert _problem(b'{"text": ' + b"1" * 5_000 + b"}").detail == "The body holds a number that is too long."
    assert _problem(b'{"text": ["a", "b", "c", "d"]}').kind is TOO_MANY_TEXTS
    assert _problem(b'{"text": ["a", "b", "c", "\\ud800"]}').kind is TOO_MANY_TEXTS
    assert _problem(b'{"text": "123456"}').detail == "text: String should have at most 5 characters."


def test_many_errors_are_cut_short() -> None:
    """If it fails, the answer to a bad request can be larger than the request."""
    model = predict_request(Limits(texts=100, chars=5, bytes=1_000))
    problem = _problem(json.dumps({"text": [1] * 50}).encode(), model)
    assert len(problem.errors) == MAX_ERRORS
    assert problem.detail.endswith(" Errors in all: 50.")
    assert len(_problem(json.dumps({"text": [1, 1, 1]}).encode(), BULK).errors) == 1


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("language", "language"),
        ("x-lang.2", "x-lang.2"),
        ("I had a lovely time", "(unprintable name)"),
        ("a" * 41, "(unprintable name)"),
        ("zo\u00eb", "(unprintable name)"),
        ("many", "many"),
        ("", "(unprintable name)"),
    ],
)
def test_names_of_unknown_fields(key: str, shown: str) -> None:
    """If it fails, a text sent as a field's name comes back in the error, or a harmless name does not."""
    problem = _problem(json.dumps({"text": "a", key: 1}).encode())
    assert problem.errors[0]["loc"] == ["body", shown]
