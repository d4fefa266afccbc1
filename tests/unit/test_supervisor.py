"""What the supervisor gives its workers. What it does to them is tested with real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.supervisor import worker_environment

if TYPE_CHECKING:
    import pytest


def test_workers_inherit_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, flags given to the supervisor do not reach its workers, or their environment is lost."""
    monkeypatch.setenv("MLAPI_MODEL", "from-environment")
    monkeypatch.setenv("MLAPI_REDIS_URL", "host")
    environment = worker_environment({"model": "from-flag", "threads": "3"})
    assert environment["MLAPI_MODEL"] == "from-flag"
    assert environment["MLAPI_THREADS"] == "3"
    assert environment["MLAPI_REDIS_URL"] == "host"
