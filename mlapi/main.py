"""Where everything is wired together, and the only place that reads the environment.

`app` is made when it is first asked for, so that importing this module reads nothing and loads nothing:
`uvicorn mlapi.main:app` works, and so does `create_app` with settings and parts of one's own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

import mlapi
from mlapi.api.docs import add_docs
from mlapi.api.middleware import BodyLimit, RequestContext
from mlapi.api.problems import add_handlers
from mlapi.api.routes import RouteConfig, build_router
from mlapi.api.schemas import Limits
from mlapi.batching import Batcher
from mlapi.cache.address import parse_address
from mlapi.cache.factory import make_cache
from mlapi.engines.factory import load_classifier
from mlapi.errors import MlapiError
from mlapi.metrics import HTTP_SECONDS, Metrics
from mlapi.predictor import Predictor
from mlapi.resources import available_cpus, choose_threads
from mlapi.serving import Serving
from mlapi.settings import Settings
from mlapi.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mlapi.classifier import Classifier
    from mlapi.ports import Cache
    from mlapi.types import ModelInfo

logger = logging.getLogger(__name__)

OTHER_BODY_LIMIT = 64 * 1024
"""Largest body of a route that takes none, in bytes."""

LEFTOVER_S = 2.0
"""Seconds for an engine call whose requests have ended: the server has waited for requests before this."""


def create_app(
    settings: Settings | None = None,
    *,
    classifier: Classifier | Callable[[], Classifier] | None = None,
    cache: Cache | None = None,
    on_fatal: Callable[[Exception], None] | None = None,
) -> FastAPI:
    """Build the application. Nothing is loaded or connected before its lifespan starts.

    Args:
        settings: How to behave; by default read from the environment.
        classifier: Answers instead of the model that the settings name; or makes what does, in a thread.
        cache: Is used instead of the one that the settings name.
        on_fatal: Called when the model cannot be loaded; by default the process gets SIGTERM.

    Raises:
        ConfigurationError: The address of the cache cannot be read.
    """
    settings = settings or Settings()
    metrics = Metrics()
    parts = _Parts(settings, metrics, classifier=classifier, cache=cache, on_fatal=on_fatal or _terminate)

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
    config = _route_config(settings)
    app.include_router(build_router(config, metrics))
    add_docs(app, prefix=settings.prefix)
    add_handlers(app, docs_path=f"{settings.prefix}/docs")
    limits = {
        f"{settings.prefix}/predict": config.predict.bytes,
        f"{settings.prefix}/bulk-predict": config.bulk.bytes,
    }
    app.add_middleware(BodyLimit, limits=limits, default=OTHER_BODY_LIMIT)
    app.add_middleware(RequestContext, access_log=settings.access_log)
    _add_http_metrics(app, metrics)
    return app


class _Parts:
    """What the lifespan loads, starts and closes."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        classifier: Classifier | Callable[[], Classifier] | None,
        cache: Cache | None,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self.serving = Serving()
        self._settings = settings
        self._metrics = metrics
        self._threads = choose_threads(settings.threads, workers=settings.workers)
        self._classifier = classifier or partial(
            load_classifier,
            settings.model,
            variant=settings.variant,
            threads=self._threads.count,
            compiled_cache=settings.compiled_cache,
        )
        self._cache = cache
        self._on_fatal = on_fatal
        self._address = parse_address(settings.redis_url.get_secret_value())

    async def load_or_die(self, stack: AsyncExitStack) -> None:
        """Load everything; a process that cannot must not stay."""
        try:
            await self._load(stack)
        except MlapiError as error:
            logger.error("%s", error)  # noqa: TRY400 - the message says it all
            self._on_fatal(error)
        except Exception as error:
            logger.exception("the model could not be loaded")
            self._on_fatal(error)

    async def _load(self, stack: AsyncExitStack) -> None:
        """Load the model and start what answers with it; `stack` closes all, what takes work first."""
        settings = self._settings
        given = self._classifier
        classifier = await _in_daemon_thread(given) if callable(given) else given
        stack.callback(classifier.close)
        cache = self._cache
        if cache is None:
            # In a thread, because it imports a client library for a tenth of a second.
            cache = await asyncio.to_thread(self._make_cache)
        stack.push_async_callback(cache.aclose)
        batcher = Batcher(
            classifier.classify,
            max_batch_tokens=settings.max_batch_tokens,
            max_batch_texts=settings.max_batch_texts,
            max_queue_texts=settings.max_queue_texts,
            max_queue_tokens=settings.max_queue_tokens,
            observer=self._metrics,
        )
        predictor = Predictor(classifier, cache, batcher, window=settings.bulk_window)
        stack.push_async_callback(predictor.aclose)
        stack.push_async_callback(batcher.aclose, timeout=LEFTOVER_S)
        batcher.start()
        predictor.start()
        self._announce(classifier.info)
        # What was loaded so far stays: a full collection that looks through it holds the loop for 50 ms.
        gc.collect()
        gc.freeze()
        self.serving.ready(predictor)

    def _make_cache(self) -> Cache:
        settings = self._settings
        password = settings.redis_password
        return make_cache(
            self._address,
            password=password.get_secret_value() if password else None,
            memory_entries=settings.cache_entries,
            ttl_s=settings.cache_ttl_s,
            timeout_s=settings.cache_timeout_s,
            on_event=self._metrics.cache_event,
        )

    def _announce(self, info: ModelInfo) -> None:
        self._metrics.model_loaded(info, threads=self._threads.count, cpus=available_cpus())
        logger.info(
            "ready: model %s %s, variant %s (%s) on %d threads (%s), cache %s, routes under %s",
            info.name,
            info.version,
            info.variant,
            info.reason,
            self._threads.count,
            self._threads.reason,
            self._address.redacted,
            self._settings.prefix,
        )


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


def _add_http_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Measure every request, outside everything else, and serve all metrics at /metrics."""
    instrumentator = Instrumentator(
        should_group_status_codes=False, registry=metrics.registry, excluded_handlers=["/metrics"]
    )
    instrumentator.instrument(app, latency_highr_buckets=HTTP_SECONDS, latency_lowr_buckets=HTTP_SECONDS)
    instrumentator.expose(app, endpoint="/metrics", include_in_schema=False)


async def _in_daemon_thread(load: Callable[[], Classifier]) -> Classifier:
    """Load in a thread that does not outlive a process told to stop meanwhile, as an executor's would."""
    loader: Worker[None, Classifier] = Worker(lambda _: load(), name="mlapi-load")
    loader.start()
    classifier = await loader.call(None)
    loader.stop(timeout=0)
    return classifier


def _terminate(_error: Exception) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def __getattr__(name: str) -> FastAPI:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = create_app()
    globals()["app"] = app
    return app
