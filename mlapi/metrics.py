"""What Prometheus sees beside requests, which are in `mlapi.http_metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from mlapi.types import Lane, ModelInfo

BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
BATCH_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)
HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The service's own metrics, in a registry of their own so that two apps in one process do not clash.

    In multiprocess mode queue gauges are summed over the live workers, the state of the cache is the worst of
    theirs, the other gauges are the largest; counters and histograms are summed over all workers that ever
    were.
    """

    def __init__(self) -> None:
        """Register everything."""
        disable_created_metrics()  # they double the number of series and nothing reads them
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._texts = Counter(
            "mlapi_texts", "Texts answered, by where the answer came from.", ["source"], registry=registry
        )
        self._cached, self._computed, self._coalesced = (
            self._texts.labels(source) for source in ("cache", "engine", "coalesced")
        )
        self._truncated = Counter(
            "mlapi_truncated_texts",
            "Texts answered that were longer than the model takes.",
            registry=registry,
        )
        self._batch_texts = Histogram(
            "mlapi_batch_texts", "Texts per engine call.", buckets=BATCH_TEXTS, registry=registry
        )
        self._batch_seconds = Histogram(
            "mlapi_batch_seconds", "Duration of engine calls.", buckets=BATCH_SECONDS, registry=registry
        )
        self._tokens = Counter(
            "mlapi_tokens", "Tokens run by the engine, without padding.", registry=registry
        )
        self._padding = Counter(
            "mlapi_padding_tokens",
            "Places of batches (texts times the longest) without a token; the engine may leave them out.",
            registry=registry,
        )
        self._failures = Counter("mlapi_batch_failures", "Engine calls that failed.", registry=registry)
        self._refused = Counter(
            "mlapi_refused",
            "Requests refused, or texts dropped, by the batcher.",
            ["reason"],
            registry=registry,
        )
        self._queue_texts = Gauge(
            "mlapi_queue_texts",
            "Texts that wait for the engine.",
            ["lane"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._queue_tokens = Gauge(
            "mlapi_queue_tokens",
            "Tokens that wait for the engine.",
            ["lane"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._cache_events = Counter(
            "mlapi_cache_events", "What happened in the caches.", ["event"], registry=registry
        )
        # Looking a label up costs more than counting.
        self._cache_event: dict[str, Counter] = {}
        self._queues: dict[Lane, tuple[Gauge, ...]] = {}
        self._cache_up: Gauge | None = None
        self._model = Gauge(
            "mlapi_model",
            "1 for the model that answers.",
            ["name", "version", "variant", "variant_id", "engine", "precision"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._threads = Gauge(
            "mlapi_engine_threads",
            "CPU threads of the engine.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._cpus = Gauge(
            "mlapi_available_cpus",
            "Whole CPUs that the process may use.",
            multiprocess_mode="livemax",
            registry=registry,
        )

    def batch_done(self, *, texts: int, padded_tokens: int, tokens: int, seconds: float) -> None:
        """Count one engine call."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)
        self._tokens.inc(tokens)
        self._padding.inc(padded_tokens - tokens)

    def batch_failed(self) -> None:
        """Count one engine call that failed."""
        self._failures.inc()

    def refused(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(reason).inc()

    def queue_changed(self, lane: Lane, *, texts: int, tokens: int) -> None:
        """Note the length of one lane."""
        gauges = self._queues.get(lane)
        if gauges is None:
            gauges = self._queues[lane] = tuple(
                gauge.labels(lane.value) for gauge in (self._queue_texts, self._queue_tokens)
            )
        for gauge, value in zip(gauges, (texts, tokens), strict=True):
            gauge.set(value)

    def answered(self, *, hits: int, misses: int, coalesced: int, truncated: int) -> None:
        """Count one request's texts."""
        if hits:
            self._cached.inc(hits)
        if misses:
            self._computed.inc(misses)
        if coalesced:
            self._coalesced.inc(coalesced)
        if truncated:
            self._truncated.inc(truncated)

    def cache_event(self, event: str, count: int = 1) -> None:
        """Count something that happened in a cache."""
        child = self._cache_event.get(event)
        if child is None:
            child = self._cache_event[event] = self._cache_events.labels(event)
        child.inc(count)

    def cache_up(self, up: bool) -> None:  # noqa: FBT001 - a callback's one argument
        """Note whether Redis is of use. Before the first call, so without Redis, the metric is not there."""
        if self._cache_up is None:
            self._cache_up = Gauge(
                "mlapi_cache_up",
                "Whether Redis answers and allows lookups: 1 or 0.",
                multiprocess_mode="livemin",
                registry=self.registry,
            )
        self._cache_up.set(up)

    def model_loaded(self, info: ModelInfo, *, threads: int, cpus: int) -> None:
        """Note which model answers, with how many threads, and how many CPUs there are for them."""
        self._model.labels(
            info.name, info.version, info.variant, info.variant_id, info.engine, info.precision
        ).set(1)
        self._threads.set(threads)
        self._cpus.set(cpus)
