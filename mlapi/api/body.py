"""From the bytes of a request to its validated model, or to the problem that names what is wrong and where.

The body is validated straight from its bytes, in one pass of compiled code. Only when that fails is it read
again by the standard library, which tells apart what clients need told apart: not UTF-8, not JSON, and JSON
whose strings hold lone surrogates.
"""

from __future__ import annotations

import asyncio
import json
import re
from email.message import Message
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from mlapi.api.density import check_density
from mlapi.api.headers import header
from mlapi.api.problems import (
    INVALID,
    NOT_JSON,
    NOT_UTF8,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    too_many_texts,
)
from mlapi.api.schemas import MANY, ONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails
    from starlette.requests import Request
    from starlette.types import Receive

Body = TypeVar("Body", bound=BaseModel)

MAX_ERRORS = 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)


async def read_body(request: Request, model: type[Body], *, max_texts: int) -> Body:
    """Read, decode and validate a request's JSON body.

    A missing Content-Type is taken for JSON, because load generators omit it.

    Args:
        request: The request.
        model: What its body must be.
        max_texts: Most texts in the body, which is looked at before anything is parsed.

    Raises:
        Problem: Media type or encoding not served, body too large, not UTF-8, not JSON, or not of the schema.
        ClientDisconnect: The client went away before the body's end.
    """
    media, encoding = header(request.scope, b"content-type"), header(request.scope, b"content-encoding")
    check_media(media.decode("latin-1"), encoding.decode("latin-1"))
    raw = await _read(request.receive)
    await check_density(raw, max_texts=max_texts)
    return await parse(raw, model)


async def _read(receive: Receive) -> bytes:
    """Return a request's body, which in most requests is one message.

    Raises:
        ClientDisconnect: The client went away before its end.
    """
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if message["type"] == "http.request":
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)


def check_media(content_type: str, content_encoding: str) -> None:
    """Refuse what is not uncompressed UTF-8 JSON.

    Args:
        content_type: The header, empty where there is none.
        content_encoding: The same.

    Raises:
        Problem: Naming what is served instead.
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise Problem(
            UNSUPPORTED_ENCODING, "Send the body uncompressed.", headers={"Accept-Encoding": "identity"}
        )
    if not content_type or content_type == "application/json":
        return
    message = Message()
    message["content-type"] = content_type
    media_type = message.get_content_type()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    charset = message.get_content_charset("utf-8")
    if not is_json or charset not in {"utf-8", "utf8", "us-ascii"}:
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            "Send JSON in UTF-8 and say so: Content-Type: application/json, or no Content-Type at all.",
        )


async def parse(raw: bytes, model: type[Body]) -> Body:
    """Validate a JSON body; the event loop gets a turn between the two readings of one that is not valid.

    Raises:
        Problem: Not UTF-8, not JSON, too many texts, or not of the schema.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        details = _details(error)
    if details[0]["type"] != "json_invalid":
        raise _invalid(details)
    await asyncio.sleep(0)
    value = _loads(raw)
    await asyncio.sleep(0)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid(_details(error)) from None


def _loads(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Problem(NOT_UTF8, f"The body is not UTF-8 at byte {error.start}.") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem(NOT_JSON, f"The body is not JSON at {place}: {error.msg}.") from None
    except RecursionError:
        raise Problem(NOT_JSON, "The body is nested too deeply.") from None
    except ValueError:
        raise Problem(NOT_JSON, "The body holds a number that is too long.") from None


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_input=False, include_url=False, include_context=True)


def _invalid(details: list[ErrorDetails]) -> Problem:
    for detail in details:
        if detail["type"] == "too_long":
            return too_many_texts(detail["ctx"]["max_length"])
    shown = [
        {"loc": ["body", *_place(detail["loc"])], "msg": _message(detail), "type": detail["type"]}
        for detail in details[:MAX_ERRORS]
    ]
    first = shown[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "body"
    more = f" Errors in all: {len(details)}." if len(details) > 1 else ""
    return Problem(INVALID, f"{place}: {first['msg']}.{more}", errors=shown)


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "string_unicode":
        return "String holds a lone surrogate, which is not a Unicode character"
    return detail["msg"]


def _place(loc: Iterable[str | int]) -> list[str | int]:
    """Return an error's place as the client sees it: no union tags, no unknown name that could be a text."""
    visible = [part for position, part in enumerate(loc) if not (position == 1 and part in {ONE, MANY})]
    return [
        part if isinstance(part, int) or PLAIN_NAME.fullmatch(part) else "(unprintable name)"
        for part in visible
    ]
