from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from mlapi.api.handlers import NO_HANDLER, Handlers


async def _endpoint(_request: object) -> Response:
    return Response()


HANDLERS = Handlers(
    [
        Route("/plain", _endpoint, methods=["POST"]),
        Route("/items/{item}", _endpoint),
        Mount("/files", Starlette()),
    ]
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/plain", "/plain"),
        ("/items/12", "/items/{item}"),
        ("/files/style.css", "/files"),
        ("/plain/", NO_HANDLER),
        ("/items/12/more", NO_HANDLER),
        ("/anything", NO_HANDLER),
        ("", NO_HANDLER),
    ],
)
def test_requests_are_named_by_their_template(path: str, name: str) -> None:
    """If this fails, a route's requests are counted elsewhere, or anyone can make new time series."""
    assert HANDLERS.name({"path": path}) == name


def test_the_gateway_s_prefix_does_not_count() -> None:
    """If this fails, a service behind a root path counts all requests as unknown."""
    assert HANDLERS.name({"path": "/api/plain", "root_path": "/api"}) == "/plain"
    assert HANDLERS.name({"path": "/plain", "root_path": "/api"}) == "/plain"
