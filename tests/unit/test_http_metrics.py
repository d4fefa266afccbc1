from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator

from mlapi.http_metrics import HttpMetrics
from tests.support.http_server import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS = (0.01, 0.1, 1)


async def _as_the_library_has_it(buckets: Sequence[float]) -> str:
    """Return what prometheus-fastapi-instrumentator shows of one request with a body of 5 bytes."""
    app, registry = FastAPI(), CollectorRegistry()

    @app.post("/predict")
    def predict() -> int:
        return 12

    Instrumentator(registry=registry, should_group_status_codes=False).instrument(
        app, latency_highr_buckets=buckets, latency_lowr_buckets=buckets
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.post("/predict", content=b"12345")).status_code == 200
    return generate_latest(registry).decode()


def _without_times(text: str) -> list[str]:
    """Return the lines without what depends on how long the request took, or when it was."""
    lines = [line for line in text.splitlines() if "_created" not in line]
    return [
        re.sub(r" \S+$", " …", line) if re.search(r"seconds_(bucket|sum)", line) else line for line in lines
    ]


async def test_dashboards_made_for_the_library_fit() -> None:
    """If this fails, a name, label, bucket or help text differs from prometheus-fastapi-instrumentator's."""
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry, buckets=BUCKETS)
    metrics.request_done("POST", 200, "/predict", seconds=0.02, request_bytes=5, response_bytes=2)
    ours = _without_times(generate_latest(registry).decode())
    theirs = _without_times(await _as_the_library_has_it(BUCKETS))
    assert sorted(ours) == sorted(theirs)


def test_requests_are_counted_in_their_series() -> None:
    """If this fails, rates, errors, sizes or durations are shown for the wrong route, or not at all."""
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry, buckets=BUCKETS)
    for status, seconds in ((200, 0.05), (200, 0.5), (503, 0.005)):
        metrics.request_done("POST", status, "/p", seconds=seconds, request_bytes=10, response_bytes=30)
    metrics.request_done("GET", 200, "/h", seconds=2, request_bytes=0, response_bytes=1)
    read = samples(generate_latest(registry).decode())
    assert read['http_requests_total{handler="/p",method="POST",status="200"}'] == 2
    assert read['http_requests_total{handler="/p",method="POST",status="503"}'] == 1
    assert read['http_request_size_bytes_sum{handler="/p"}'] == 30
    assert read['http_response_size_bytes_sum{handler="/p"}'] == 90
    assert read['http_request_duration_seconds_bucket{handler="/p",le="0.1",method="POST"}'] == 2
    assert read['http_request_duration_seconds_count{handler="/h",method="GET"}'] == 1
    assert read["http_request_duration_highr_seconds_count"] == 4
    assert read['http_request_duration_highr_seconds_bucket{le="1.0"}'] == 3
