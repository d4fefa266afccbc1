"""Where everything is wired together, and the only place that reads the environment.

`app` is made when it is first asked for, so that importing this module reads nothing and loads nothing:
`uvicorn mlapi.main:app` works, and so does `create_app` with settings and parts of one's own.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

import mlapi
from mlapi.api.direct import DirectCalls
from mlapi.api.docs import add_docs
from mlapi.api.handlers import Handlers
from mlapi.api.middleware import BodyLimit, RequestContext
from mlapi.api.problems import add_handlers
from mlapi.api.routes import RouteConfig, build_router
from mlapi.api.schemas import Limits
from mlapi.http_metrics import HttpMetrics
from mlapi.metrics import HTTP_SECONDS, Metrics
from mlapi.parts import Parts
from mlapi.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Scope

    from mlapi.classifier import Classifier
    from mlapi.ports import Cache

OTHER_BODY_LIMIT = 64 * 1024
"""Largest body of a route that takes none, in bytes."""

METRICS_PATH = "/metrics"


def create_app(
    settings: Settings | None = None,
    *,
    classifier: Classifier | Callable[[], Classifier] | None = None,
    cache: Cache | None = None,
    on_fatal: Callable[[Exception], None] | None = None,
    expose_metrics: bool = True,
) -> FastAPI:
    """Build the application. Nothing is loaded or connected before its lifespan starts.

    Args:
        settings: How to behave; by default read from the environment.
        classifier: Answers instead of the model that the settings name; or makes what does, in a thread.
        cache: Is used instead of the one that the settings name.
        on_fatal: Called when the model cannot be loaded; by default the process gets SIGTERM.
        expose_metrics: Whether /metrics is one of the routes. Where not, whoever runs the app serves the
            registry of `app.state.metrics` elsewhere: `settings.metrics_port`, as all about listening, is
            theirs alone.

    Raises:
        ConfigurationError: The address of the cache cannot be read, or a file that its settings name.
    """
    settings = settings or Settings()
    metrics = Metrics()
    parts = Parts(settings, metrics, classifier=classifier, cache=cache, on_fatal=on_fatal or _terminate)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            loading = asyncio.create_task(parts.load_or_die(stack), name="mlapi-load")
            try:
                yield {"serving": parts.serving}
            finally:
                parts.serving.drain()
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)

    app = FastAPI(
        title="mlapi",
        summary="Sentiment of texts, one label and score each.",
        version=mlapi.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{settings.prefix}/openapi.json",
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its logs would quote exceptions
        lifespan=lifespan,
    )
    app.state.serving = parts.serving
    app.state.metrics = metrics
    config = _route_config(settings)
    # As routes of its own: an included router is looked through anew at every request.
    app.router.routes.extend(build_router(config, metrics).routes)
    add_docs(app, prefix=settings.prefix)
    add_handlers(app, docs_path=f"{settings.prefix}/docs")
    limits = {
        f"{settings.prefix}/predict": config.predict.bytes,
        f"{settings.prefix}/bulk-predict": config.bulk.bytes,
    }
    app.add_middleware(DirectCalls, routes=app.routes, handlers=app.exception_handlers)
    app.add_middleware(BodyLimit, limits=limits, default=OTHER_BODY_LIMIT)
    if expose_metrics:
        # Asking for metrics is no request of the service's: it is not counted.
        Instrumentator(registry=metrics.registry).expose(app, endpoint=METRICS_PATH, include_in_schema=False)
    handlers = Handlers(app.routes)

    def handler_of(scope: Scope) -> str | None:
        name = handlers.name(scope)
        return None if name == METRICS_PATH else name

    app.add_middleware(
        RequestContext,
        access_log=settings.access_log,
        observer=HttpMetrics(metrics.registry, buckets=HTTP_SECONDS),
        handler_of=handler_of,
    )
    return app


def _route_config(settings: Settings) -> RouteConfig:
    return RouteConfig(
        prefix=settings.prefix,
        predict=Limits(
            texts=settings.predict_max_texts,
            chars=settings.predict_max_chars,
            bytes=settings.predict_max_bytes,
        ),
        bulk=Limits(
            texts=settings.bulk_max_texts, chars=settings.bulk_max_chars, bytes=settings.bulk_max_bytes
        ),
        predict_timeout=settings.predict_timeout_s,
        bulk_timeout=settings.bulk_timeout_s,
        stuck_after=settings.stuck_after_s,
    )


def _terminate(_error: Exception) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def __getattr__(name: str) -> FastAPI:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = create_app()
    globals()["app"] = app
    return app
