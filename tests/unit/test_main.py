from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from mlapi import main
from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.errors import ConfigurationError, ModelError
from mlapi.main import create_app
from mlapi.settings import Settings
from tests.support.fakes import INFO, DictCache, eventually
from tests.support.http_server import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.serving import Serving


class _ClosingEngine(FakeEngine):
    def __init__(self, closed: list[str]) -> None:
        super().__init__()
        self._closed = closed

    def close(self) -> None:
        self._closed.append("engine")


class _ClosingCache(DictCache):
    def __init__(self, closed: list[str]) -> None:
        super().__init__()
        self._closed = closed

    async def aclose(self) -> None:
        self._closed.append("cache")


def _settings(**more: object) -> Settings:
    return Settings(**{"redis_url": "memory://", **more})  # type: ignore[arg-type]


def test_building_loads_nothing(tmp_path: Path) -> None:
    """If it fails, the app cannot be built where its model is not, as for its description."""
    app = create_app(_settings(model=tmp_path / "nothing"))
    assert "/project/predict" in app.openapi()["paths"]


@pytest.mark.parametrize("path", ["/project/predict", "/project/bulk-predict"])
def test_predictions_pass_the_router_by(path: str, routed: list[str]) -> None:
    """If it fails, each request pays for layers of the framework that have nothing to do (ADR 31)."""
    app = create_app(_settings(), classifier=Classifier(INFO, TokenReader(FakeTokenizer(), FakeEngine())))
    with TestClient(app) as client:
        wait_until(lambda: client.get("/project/health").json()["status"] == "healthy")
        assert client.post(path, json={"text": ["a text"]}).status_code == 200
        assert routed == ["lifespan"]


def test_a_bad_cache_address_stops_the_build() -> None:
    """If it fails, a mistyped address is noticed only once requests fail."""
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        create_app(_settings(redis_url="ftp://host"))


def test_the_app_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, `uvicorn mlapi.main:app` does not work, or importing the module reads the environment."""
    monkeypatch.setenv("MLAPI_PREFIX", "/from-environment")
    monkeypatch.delitem(vars(main), "app", raising=False)
    app = main.app
    assert isinstance(app, FastAPI)
    assert app.openapi_url == "/from-environment/openapi.json"
    assert main.app is app
    monkeypatch.delitem(vars(main), "app")
    with pytest.raises(AttributeError, match="nothing"):
        _ = main.nothing


async def test_everything_is_closed_engine_last() -> None:
    """If it fails, an engine is closed under the work that still runs on it, or something is never closed."""
    closed: list[str] = []
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(), _ClosingEngine(closed)))
    cache = _ClosingCache(closed)
    app = create_app(_settings(), classifier=classifier, cache=cache)
    serving: Serving = app.state.serving
    async with app.router.lifespan_context(app):
        await eventually(lambda: serving.phase == "healthy")
        assert serving.require_predictor().healthy(stuck_after=60)
        assert cache.started
        assert closed == []
    assert closed == ["cache", "engine"]
    assert not serving.require_predictor().healthy(stuck_after=60)


async def test_a_process_without_a_model_ends(caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, a service under another server than ours stays up without a model."""

    def load() -> NoReturn:
        raise ModelError("the manifest is missing")

    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:
        app = create_app(_settings(), classifier=load)
        async with app.router.lifespan_context(app):
            await eventually(told.is_set)
            assert app.state.serving.phase == "starting"
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    assert "the manifest is missing" in caplog.text


async def test_a_native_panic_while_loading_is_fatal() -> None:
    """If it fails, a process without a model stays, says that it is starting, and takes no requests."""

    class PanicException(BaseException):
        """What native libraries raise, outside the tree of `Exception`."""

    def panic() -> NoReturn:
        raise PanicException

    fatal: list[Exception] = []
    app = create_app(_settings(), classifier=panic, on_fatal=fatal.append)
    async with app.router.lifespan_context(app):
        await eventually(lambda: bool(fatal))
    assert "PanicException" in str(fatal[0])
