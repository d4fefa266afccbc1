"""The names under which requests are counted: the templates of their routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

NO_HANDLER = "none"
"""The name of every request that fits no route, so that nobody can make names by asking for them."""


class Handlers:
    """Finds a request's template by its path, whatever its method."""

    def __init__(self, routes: Sequence[Any]) -> None:
        """Sort the routes.

        Args:
            routes: Of the application, each with its `path` and `path_regex`, mounted applications included.
        """
        patterned = [route for route in routes if route.path_regex.groups]
        self._plain = {route.path for route in routes} - {route.path for route in patterned}
        self._patterned = [(route.path_regex, route.path) for route in patterned]

    def name(self, scope: Scope) -> str:
        """Return the template of the first route that fits a request which no route has seen yet."""
        path: str = scope["path"]
        if root := scope.get("root_path", ""):
            path = path.removeprefix(root)
        if path in self._plain:
            return path
        return next((name for regex, name in self._patterned if regex.match(path)), NO_HANDLER)
