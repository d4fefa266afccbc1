"""Fixtures that tests in several folders use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running, empty Redis of the test's own, to stop, start and freeze."""
    with RedisServer() as server:
        yield server
