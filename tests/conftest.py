"""Fixtures that tests in several folders use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import APIRouter

from tests.support.model_directory import make_tiny_model
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running, empty Redis of the test's own, to stop, start and freeze."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model directory, to read and not to change."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what goes through the framework's router, as it comes; of a lifespan its type."""
    seen: list[str] = []
    route = APIRouter.__call__

    async def watched(self: APIRouter, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope.get("path", scope["type"]))
        await route(self, scope, receive, send)

    monkeypatch.setattr(APIRouter, "__call__", watched)
    return seen
