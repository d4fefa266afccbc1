"""What a process of the service is made of while it runs: model, cache, batcher and predictor."""

from __future__ import annotations

import asyncio
import gc
import logging
from functools import partial
from typing import TYPE_CHECKING

from mlapi.batching import Batcher
from mlapi.cache.factory import make_cache
from mlapi.engines.factory import load_classifier
from mlapi.errors import MlapiError
from mlapi.huge_pages import use_huge_pages
from mlapi.placement import place_calls
from mlapi.predictor import Predictor
from mlapi.redis_access import redis_access
from mlapi.resources import available_cpus, choose_threads
from mlapi.serving import Serving
from mlapi.slots import Slots
from mlapi.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from mlapi.classifier import Classifier
    from mlapi.metrics import Metrics
    from mlapi.ports import Cache
    from mlapi.settings import Settings
    from mlapi.types import ModelInfo

logger = logging.getLogger(__name__)

INLINE_CHARS = 1_000
"""Characters of a single text that are tokenised on the event loop: that takes less than a millisecond, and
for a sentence less than handing it to a thread and back."""

LEFTOVER_S = 2.0
"""Seconds for an engine call whose requests have ended: the server has waited for requests before this."""


class Parts:
    """What the lifespan loads, starts and closes.

    Attributes:
        serving: What the routes see of it.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        classifier: Classifier | Callable[[], Classifier] | None,
        cache: Cache | None,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        """Keep what to make them from, as in `create_app`.

        Raises:
            ConfigurationError: The address of the cache cannot be read, or a file that its settings name.
        """
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
        self._access = redis_access(settings)

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
        cache.start()
        # In a thread, because it has the engine at work for some tenths of a second.
        placement = await asyncio.to_thread(
            place_calls, classifier.find_threads, threads=self._threads.count, workers=settings.workers
        )
        slots = Slots(
            classifier.classify, classifier.classify_beside, count=classifier.calls, placement=placement
        )
        batcher = Batcher(
            slots,
            max_batch_tokens=settings.max_batch_tokens,
            max_batch_texts=settings.max_batch_texts,
            max_queue_texts=settings.max_queue_texts,
            max_queue_tokens=settings.max_queue_tokens,
            observer=self._metrics,
        )
        predictor = Predictor(
            classifier, cache, batcher, window=settings.bulk_window, inline_chars=INLINE_CHARS
        )
        stack.push_async_callback(predictor.aclose)
        stack.push_async_callback(batcher.aclose, timeout=LEFTOVER_S)
        batcher.start()
        predictor.start()
        # What was loaded so far stays: a full collection that looks through it holds the loop for 50 ms.
        gc.collect()
        gc.freeze()
        if callable(given):  # what it loaded is there by now
            await asyncio.to_thread(use_huge_pages)
        self._announce(classifier.info, placed=placement is not None)
        self.serving.ready(predictor)

    def _make_cache(self) -> Cache:
        settings = self._settings
        return make_cache(
            self._access,
            memory_entries=settings.cache_entries,
            ttl_s=settings.cache_ttl_s,
            timeout_s=settings.cache_timeout_s,
            on_event=self._metrics.cache_event,
            on_status=self._metrics.cache_up,
        )

    def _announce(self, info: ModelInfo, *, placed: bool) -> None:
        self._metrics.model_loaded(info, threads=self._threads.count, cpus=available_cpus())
        logger.info(
            "ready: model %s %s, variant %s (%s) on %d threads (%s%s), cache %s, routes under %s",
            info.name,
            info.version,
            info.variant,
            info.reason,
            self._threads.count,
            self._threads.reason,
            ", one for each call" if placed else "",
            self._access.address.redacted,
            self._settings.prefix,
        )


async def _in_daemon_thread(load: Callable[[], Classifier]) -> Classifier:
    """Load in a thread that does not outlive a process told to stop meanwhile, as an executor's would."""
    loader: Worker[None, Classifier] = Worker(lambda _: load(), name="mlapi-load")
    loader.start()
    classifier = await loader.call(None)
    loader.stop(timeout=0)
    return classifier
