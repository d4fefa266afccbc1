"""Errors on the wire: RFC 9457 problem details, made in one place.

The table below is the whole mapping from what went wrong to what a client sees. `type` URIs are stable; what
each means, and what to do about it, stands in `docs/problems.md`.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mlapi.errors import DeadlineExceeded, Draining, EngineError, Overloaded, Starting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mlapi:problem:"

CLIENT_CLOSED_REQUEST = 499
"""Status, for logs and metrics alone, of a request whose client went away."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: the last part of its type URI, its status and title."""

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The stable URI."""
        return TYPE_PREFIX + self.name


NOT_JSON = Kind("not-json", 400, "The body is not JSON")
NOT_UTF8 = Kind("not-utf8", 400, "The body is not UTF-8")
NO_SUCH_ROUTE = Kind("no-such-route", 404, "No such route")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This route takes another method")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The body is too large")
TOO_MANY_TEXTS = Kind("too-many-texts", 413, "Too many texts in one request")
UNSUPPORTED_ENCODING = Kind("unsupported-encoding", 415, "This content encoding is not served")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "This media type is not served")
INVALID = Kind("invalid-request", 422, "The body does not fit the schema")
INTERNAL = Kind("internal-error", 500, "The service failed")
OVERLOADED = Kind("overloaded", 503, "Too much work is waiting")
STARTING = Kind("starting", 503, "The model is still being loaded")
DRAINING = Kind("draining", 503, "The process is shutting down")
DEADLINE_EXCEEDED = Kind("deadline-exceeded", 504, "The request took too long")

KINDS = (
    NOT_JSON,
    NOT_UTF8,
    NO_SUCH_ROUTE,
    METHOD_NOT_ALLOWED,
    BODY_TOO_LARGE,
    TOO_MANY_TEXTS,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    INTERNAL,
    OVERLOADED,
    STARTING,
    DRAINING,
    DEADLINE_EXCEEDED,
)

DOMAIN_KINDS: Mapping[type[Exception], Kind] = {
    Overloaded: OVERLOADED,
    Starting: STARTING,
    Draining: DRAINING,
    DeadlineExceeded: DEADLINE_EXCEEDED,
    EngineError: INTERNAL,
}


class Problem(Exception):  # noqa: N818 - the RFC's word
    """A problem that the HTTP layer itself found.

    Attributes:
        kind: Which.
        detail: For the client: what is wrong here and what to do; never an input text.
        errors: For 422, the place and fault of each error.
        headers: Further response headers.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the parts."""
        super().__init__(kind.name)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def problem_response(problem: Problem, *, request_id: str) -> Response:
    """Turn a problem into its response."""
    body: dict[str, object] = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    return Response(
        json.dumps(body),
        status_code=problem.kind.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


def too_many_texts(most: int) -> Problem:
    """Return the problem of a request with more texts than its route takes."""
    return Problem(TOO_MANY_TEXTS, f"This route takes at most {most} texts. Send several requests.")


def internal_problem() -> Problem:
    """Return the problem that says a fault is ours and nothing more."""
    return Problem(INTERNAL, "This is a fault of the service. Quote the request id when you report it.")


def add_handlers(app: FastAPI, *, docs_path: str) -> None:
    """Make every error that reaches the app a problem response.

    Args:
        app: The application.
        docs_path: Where the documentation lies; the answer to an unknown route names it.
    """

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - registered for this type
        return problem_response(error, request_id=request_id_of(request))

    async def on_domain_error(request: Request, error: Exception) -> Response:
        problem = from_domain(error)
        if problem.kind is INTERNAL:
            logger.error("request failed: %s", error, extra={"request_id": request_id_of(request)})
        return problem_response(problem, request_id=request_id_of(request))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
        return problem_response(_from_http(error, docs_path), request_id=request_id_of(request))

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(HTTPException, on_http_exception)
    for error_type in DOMAIN_KINDS:
        app.add_exception_handler(error_type, on_domain_error)


def from_domain(error: Exception) -> Problem:
    """Map a domain error to its problem."""
    kind = DOMAIN_KINDS[type(error)]
    if kind is INTERNAL:
        return internal_problem()
    headers = {}
    if isinstance(error, (Overloaded, Starting, Draining)):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    message = str(error)
    return Problem(kind, f"{message[:1].upper()}{message[1:]}.", headers=headers)


def request_id_of(request: Request) -> str:
    """Return the id that the middleware gave this request."""
    return str(request.scope["mlapi.request_id"])


def _from_http(error: HTTPException, docs_path: str) -> Problem:
    if error.status_code == METHOD_NOT_ALLOWED.status:
        allowed = (error.headers or {}).get("Allow", "")
        return Problem(METHOD_NOT_ALLOWED, f"Use {allowed} here.", headers=error.headers)
    if error.status_code == NO_SUCH_ROUTE.status:
        prefix = docs_path.removesuffix("/docs") or "/"
        return Problem(NO_SUCH_ROUTE, f"The routes lie under {prefix} and are described at {docs_path}.")
    logger.error("an unexpected HTTP exception of status %d", error.status_code)
    return internal_problem()
