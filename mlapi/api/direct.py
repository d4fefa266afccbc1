"""Routes that read their request and write their response by themselves, and the short way to them.

What a framework does around a route is little work in many layers, and a processor that reads a model's
weights between two requests has forgotten them all (ADR 31).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match, request_response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from fastapi.dependencies.models import Dependant
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send


class DirectRoute(APIRoute):
    """Documented by FastAPI as any route, but called with the request alone and sent as it returns.

    FastAPI would look for parameters, dependencies and a model to serialise at each request, of which an
    endpoint that takes a `Request` and returns a `Response` has none, and keep stacks of what dependencies
    want closed.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Make a route; all arguments are `APIRoute`'s.

        Raises:
            TypeError: The endpoint takes more than the request, or something was asked for that nobody does.
        """
        super().__init__(path, endpoint, **options)
        self.app = request_response(self.get_route_handler())

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself: `async def endpoint(request) -> Response`.

        Raises:
            TypeError: It has parameters or dependencies, which nobody would look at, or a limit of its own
                on bodies, which nobody would keep.
        """
        wanted = self.dependant
        if self.dependencies or self.body_field or wanted.dependencies or _parameters(wanted):
            raise TypeError(f"{self.path}: a DirectRoute's endpoint takes the request alone")
        if self.max_body_size is not None:
            raise TypeError(f"{self.path}: a DirectRoute has no max_body_size; use a middleware")
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class DirectCalls:
    """Pure ASGI middleware, to be the innermost: calls a `DirectRoute` past the framework's router.

    That looks through all routes, and stands behind a stack of what is to be closed. Here a route is found by
    method and path. What it raises is answered as behind the router, since the framework's own layer for
    exceptions stands before it here, too. All that is no such route's, or comes to an application below
    another path, goes on to the router.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], handlers: Mapping[Any, ExceptionHandler]
    ) -> None:
        """Wrap the framework's router; built by the application once all routes and handlers are there.

        Args:
            app: The router, with what stands before it.
            routes: The application's, of which the first that fits a request is the one that counts.
            handlers: The application's, by type of exception or status.
        """
        self._app = app
        # As the framework does: those for everything are the business of its outermost layer.
        handled = {kind: handler for kind, handler in handlers.items() if kind not in {500, Exception}}
        self._call = ExceptionMiddleware(_call, handled)
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute) and not route.param_convertors
            for method in route.methods or ()
            if _first(routes, method, route.path) is route
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = None
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get((scope["method"], scope["path"]))
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        scope["path_params"] = {}
        await self._call(scope, receive, send)


async def _call(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["route"].app(scope, receive, send)


def _first(routes: Sequence[BaseRoute], method: str, path: str) -> BaseRoute | None:
    """Return the route that the framework's router would take."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)


def _parameters(wanted: Dependant) -> list[Any]:
    return [*wanted.path_params, *wanted.query_params, *wanted.header_params, *wanted.cookie_params]
