"""Routes that are called with the request alone."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from mlapi.api.direct import DirectRoute


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
