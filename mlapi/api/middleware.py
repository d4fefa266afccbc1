"""What every request passes: an id, a clock, a limit on its body, and an answer even when we fail."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from typing import TYPE_CHECKING, Protocol

from mlapi.api.headers import content_length, header
from mlapi.api.problems import BODY_TOO_LARGE, Problem, from_domain, internal_problem, problem_response
from mlapi.errors import Draining

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

REQUEST_ID = b"x-request-id"
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


UNANSWERED = 500
"""Status under which a request is counted that ended without an answer."""


class RequestObserver(Protocol):
    """Who counts requests; `mlapi.http_metrics` does."""

    def request_done(
        self,
        method: str,
        status: int,
        handler: str,
        *,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        """Count one request."""
        ...


class RequestContext:
    """Pure ASGI middleware: request id, metrics, access log, and the answer to exceptions nobody caught."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access_log: bool,
        observer: RequestObserver,
        handler_of: Callable[[Scope], str | None],
    ) -> None:
        """Wrap an application.

        Args:
            app: The application.
            access_log: Whether to log one line per request.
            observer: Told of every request that has a handler.
            handler_of: Names the handler of a request that no route has seen yet; None is not counted.
        """
        self._app = app
        self._access_log = access_log
        self._observer = observer
        self._handler_of = handler_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope["mlapi.request_id"] = request_id
        handler = self._handler_of(scope)
        status = response_bytes = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status, response_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                response_bytes = content_length(message)
                others = [pair for pair in message["headers"] if pair[0] != REQUEST_ID]
                message["headers"] = [*others, (REQUEST_ID, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # The server's patience with requests under way is over: the one answer that is left to give.
            if status:
                raise
            draining = Draining("the process ends now. Send the request again", retry_after=1.0)
            response = problem_response(from_domain(draining), request_id=request_id)
            await response(scope, receive, send_with_id)
        except Exception:
            # The exception's message may quote an input, so only its type and frames are logged.
            logger.exception("request failed", extra={"request_id": request_id})
            if status:
                raise RuntimeError("the response had begun when the request failed") from None
            response = problem_response(internal_problem(), request_id=request_id)
            await response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            if self._access_log:
                self._log(scope, status, seconds, request_id)
            if handler is not None:
                self._observer.request_done(
                    scope["method"],
                    status or UNANSWERED,
                    handler,
                    seconds=seconds,
                    request_bytes=content_length(scope),
                    response_bytes=response_bytes,
                )

    @staticmethod
    def _log(scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = scope.get("route")
        extra = {
            "method": scope["method"],
            "route": getattr(route, "path", "none"),
            "status": status,
            "seconds": round(seconds, 6),
            "request_id": request_id,
        }
        logger.info("request", extra=extra)


class BodyLimit:
    """Pure ASGI middleware: counts body bytes as they arrive and stops reading at the path's limit."""

    def __init__(self, app: ASGIApp, *, limits: Mapping[str, int], default: int) -> None:
        """Wrap an application.

        Args:
            app: The application.
            limits: Largest body in bytes, by path.
            default: The limit of every other path.
        """
        self._app = app
        self._limits = limits
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; reading its body raises `Problem` once it is over the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], self._default)
        announced = content_length(scope)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            if announced > limit:
                raise _too_large(limit)
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _too_large(limit)
            return message

        await self._app(scope, receive_counted, send)


def _too_large(limit: int) -> Problem:
    return Problem(
        BODY_TOO_LARGE, f"This route takes at most {limit} bytes. Send the texts in several requests."
    )


def _request_id(scope: Scope) -> str:
    sent = header(scope, REQUEST_ID).decode("latin-1")
    return sent if SANE_REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
