"""Fixtures that tests in several folders use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.model_directory import make_tiny_model
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running, empty Redis of the test's own, to stop, start and freeze."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model directory, to read and not to change."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path
