"""A route that reads its request and writes its response by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.responses import Response


class DirectRoute(APIRoute):
    """Documented by FastAPI as any route, but called with the request alone and sent as it returns.

    FastAPI would look for parameters, dependencies and a model to serialise at each request, of which an
    endpoint that takes a `Request` and returns a `Response` has none.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself: `async def endpoint(request) -> Response`."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint
