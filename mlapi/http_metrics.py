"""What Prometheus sees of requests: the metrics of prometheus-fastapi-instrumentator, counted with less work.

Names, labels and help texts are that library's default ones, so that dashboards made for it fit; a test
compares. Its own middleware matches the route a second time and looks every label up anew, which for an
answer from memory was as much work as all the rest (docs/performance.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram, Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry


class HttpMetrics:
    """Counts requests, their sizes and their durations, by method, status and route."""

    def __init__(self, registry: CollectorRegistry, *, buckets: Sequence[float]) -> None:
        """Register everything.

        Args:
            registry: Gets the metrics.
            buckets: Upper bounds of durations, in seconds, without the infinite one.
        """
        self._total = Counter(
            "http_requests_total",
            "Total number of requests by method, status and handler.",
            ["method", "status", "handler"],
            registry=registry,
        )
        size = "Only value of header is respected. Otherwise ignored. No percentile calculated. "
        self._request_size = Summary(
            "http_request_size_bytes",
            f"Content length of incoming requests by handler. {size}",
            ["handler"],
            registry=registry,
        )
        self._response_size = Summary(
            "http_response_size_bytes",
            f"Content length of outgoing responses by handler. {size}",
            ["handler"],
            registry=registry,
        )
        self._all_seconds = Histogram(
            "http_request_duration_highr_seconds",
            "Latency with many buckets but no API specific labels. "
            "Made for more accurate percentile calculations. ",
            buckets=buckets,
            registry=registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Latency with only few buckets by handler. "
            "Made to be only used if aggregation by handler is important. ",
            ["method", "handler"],
            buckets=buckets,
            registry=registry,
        )
        self._series: dict[tuple[str, int, str], tuple[Counter, Summary, Summary, Histogram]] = {}

    def request_done(
        self,
        method: str,
        status: int,
        handler: str,
        *,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        """Count one request.

        Args:
            method: HTTP method.
            status: Of the answer.
            handler: Template of the route, `none` where there was none.
            seconds: From the request's head to the end of the answer.
            request_bytes: Announced length of the request's body, 0 where it was not announced.
            response_bytes: The same of the answer's.
        """
        key = (method, status, handler)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = (
                self._total.labels(method, str(status), handler),
                self._request_size.labels(handler),
                self._response_size.labels(handler),
                self._seconds.labels(method, handler),
            )
        total, request_size, response_size, duration = series
        total.inc()
        request_size.observe(request_bytes)
        response_size.observe(response_bytes)
        self._all_seconds.observe(seconds)
        duration.observe(seconds)
