"""A route that reads its request and writes its response by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi.dependencies.models import Dependant
    from starlette.requests import Request
    from starlette.responses import Response


class DirectRoute(APIRoute):
    """Documented by FastAPI as any route, but called with the request alone and sent as it returns.

    FastAPI would look for parameters, dependencies and a model to serialise at each request, of which an
    endpoint that takes a `Request` and returns a `Response` has none.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself: `async def endpoint(request) -> Response`.

        Raises:
            TypeError: It has parameters or dependencies, which nobody would look at.
        """
        wanted = self.dependant
        if self.dependencies or self.body_field or wanted.dependencies or _parameters(wanted):
            raise TypeError(f"{self.path}: a DirectRoute's endpoint takes the request alone")
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def _parameters(wanted: Dependant) -> list[Any]:
    return [*wanted.path_params, *wanted.query_params, *wanted.header_params, *wanted.cookie_params]
