"""Routes that are called with the request alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient

from mlapi.api.direct import DirectCalls, DirectRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def _endpoint(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


async def _with_parameter(request: Request, number: int) -> PlainTextResponse:
    return PlainTextResponse(f"{request.url.path} {number}")


async def _token() -> None:
    """Whatever a request must have."""


def test_an_endpoint_that_takes_the_request_alone_is_called_as_it_is() -> None:
    """If it fails, FastAPI's search for parameters is paid for at each request."""
    route = DirectRoute("/", _endpoint)
    assert route.get_route_handler() is _endpoint


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [(_with_parameter, {}), (_endpoint, {"dependencies": [Depends(_token)]})],
)
def test_what_would_be_passed_over_is_refused(endpoint: Any, options: dict[str, Any]) -> None:
    """If it fails, a dependency that checks who asks is documented, and never called."""
    with pytest.raises(TypeError, match="takes the request alone"):
        DirectRoute("/", endpoint, **options)


def test_so_are_dependencies_of_the_router() -> None:
    """If it fails, they are passed over just because they stand one level higher."""
    router = APIRouter(route_class=DirectRoute, dependencies=[Depends(_token)])
    with pytest.raises(TypeError, match="takes the request alone"):
        router.add_api_route("/", _endpoint)


def test_nor_has_it_a_limit_of_its_own_that_nobody_would_keep() -> None:
    """If it fails, a route is documented to refuse large bodies, and takes them."""
    router = APIRouter(route_class=DirectRoute, max_body_size=3)
    with pytest.raises(TypeError, match="max_body_size"):
        router.add_api_route("/", _endpoint)


class _RefusedError(Exception):
    """Has a handler."""


class _LateResponse(PlainTextResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise _RefusedError


async def _echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    match body:
        case b"refused":
            raise _RefusedError
        case b"gone":
            raise HTTPException(410, "gone")
        case b"teapot":
            raise HTTPException(418)
        case b"broken":
            raise ZeroDivisionError
        case b"late":
            return _LateResponse()
    return PlainTextResponse(body.decode(), headers={"x-state": request.state.word})


def _plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"plain {request.url.path}")


async def _named(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"named {request.path_params}")


async def _on_refused(request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"refused {await request.body()!r} at {request.url.path}", status_code=409)


async def _on_teapot(_request: Request, _error: Exception) -> PlainTextResponse:
    raise HTTPException(410, "no teapot")


class _Stamp:
    """Middleware of the application's own: marks answers, moves requests, and lets no exception through."""

    def __init__(self, app: ASGIApp, *, letter: str) -> None:
        self._app = app
        self._letter = letter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/moved":
            scope["path"] = "/echo"

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                endpoint = getattr(scope.get("endpoint"), "__name__", "")
                stamp = f"{self._letter} {endpoint} {scope.get('path_params')}"
                message["headers"] = [*message["headers"], (b"x-stamp", stamp.encode())]
            await send(message)

        try:
            await self._app(scope, receive, stamped)
        except ZeroDivisionError:
            await PlainTextResponse("broken", status_code=500)(scope, receive, stamped)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"word": "said"}


def _build(*, direct: bool) -> FastAPI:
    app = FastAPI(lifespan=_lifespan)
    app.add_api_route("/ordinary", _with_parameter)
    app.add_api_route("/first/{name}", _named, methods=["POST"])
    router = APIRouter(route_class=DirectRoute)
    router.add_api_route("/echo", _echo, methods=["POST"])
    router.add_api_route("/echo", _endpoint, methods=["POST", "PUT"])
    router.add_api_route("/below/echo", _endpoint, methods=["POST"])
    router.add_api_route("/plain", _plain, methods=["POST"])
    router.add_api_route("/first/served", _endpoint, methods=["POST"])
    router.add_api_route("/of/{name}", _named, methods=["POST"])
    app.router.routes.extend(router.routes)
    app.add_exception_handler(_RefusedError, _on_refused)
    app.add_exception_handler(418, _on_teapot)
    if direct:
        app.add_middleware(DirectCalls, routes=app.routes, handlers=app.exception_handlers)
    app.add_middleware(_Stamp, letter="inner")
    app.add_middleware(_Stamp, letter="outer")
    return app


REQUESTS = [
    ("POST", "/echo", b"a text"),
    ("POST", "/echo", b"refused"),
    ("POST", "/echo", b"gone"),
    ("POST", "/echo", b"teapot"),
    ("POST", "/echo", b"broken"),
    ("POST", "/echo", b"late"),
    ("PUT", "/echo", b""),
    ("GET", "/echo", b""),
    ("POST", "/echo/", b""),
    ("POST", "/below/echo", b"a text"),
    ("POST", "/moved", b"a text"),
    ("POST", "/plain", b""),
    ("POST", "/of/names", b""),
    ("POST", "/of/{name}", b""),
    ("POST", "/first/served", b""),
    ("GET", "/ordinary?number=3", b""),
    ("GET", "/ordinary?number=x", b""),
    ("GET", "/nothing", b""),
]


@pytest.mark.parametrize("root_path", ["", "/below"])
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_the_answer_is_the_one_that_the_framework_gives(
    method: str, path: str, body: bytes, root_path: str
) -> None:
    """If it fails, a request is answered in another way than what the application says of itself."""
    answers = []
    for direct in (False, True):
        with TestClient(_build(direct=direct), root_path=root_path) as client:
            answers.append(client.request(method, path, content=body))
    due, got = answers
    assert (got.status_code, got.content, got.headers.multi_items()) == (
        due.status_code,
        due.content,
        due.headers.multi_items(),
    )
    assert [stamp.split()[0] for stamp in got.headers.get_list("x-stamp")] == ["inner", "outer"]


def test_the_router_is_passed_by(routed: list[str]) -> None:
    """If it fails, each request pays for layers that have nothing to do."""
    with TestClient(_build(direct=True)) as client:
        client.post("/echo", content=b"a text")
        client.post("/echo", content=b"refused")
        client.post("/first/served")
        client.post("/of/names")
        client.get("/ordinary", params={"number": 1})
    assert routed == ["lifespan", "/first/served", "/of/names", "/ordinary"]


async def _on_any(_request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse("failed", status_code=500)


@pytest.mark.parametrize("handled", [None, Exception, 500])
def test_an_exception_without_a_handler_of_its_own_reaches_the_outermost_layer(
    handled: type[Exception] | int | None,
) -> None:
    """If it fails, nobody learns of it, or the client waits for an answer that never comes."""
    app = FastAPI(lifespan=_lifespan)
    app.router.routes.append(DirectRoute("/echo", _echo, methods=["POST"]))
    if handled:
        app.add_exception_handler(handled, _on_any)
    app.add_middleware(DirectCalls, routes=app.routes, handlers=app.exception_handlers)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/echo", content=b"broken")
    assert (answer.status_code, answer.text) == (500, "failed" if handled else "Internal Server Error")
