"""A pod that is told to end, as in every rollout, loses no request."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.deploy.pods.dev import dev_cluster, eventually
from tests.support.http_server import make_client, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.cluster import Cluster

pytestmark = pytest.mark.container

BULK_TEXTS = 2_000
"""Enough that they are not all answered when SIGTERM comes."""


@pytest.fixture
def cluster(engine: Engine, image: str) -> Iterator[Cluster]:
    """Redis and two pods of the API behind its Service, all ready."""
    with dev_cluster(engine, image) as cluster:
        cluster.serve("redis", "mlapi")
        for name in ("redis", "mlapi", "mlapi"):
            cluster.start(name)
        for pod in cluster.pods:
            pod.wait_ready()
        eventually(lambda: is_reached(cluster.url("mlapi", 80)))
        yield cluster


def test_a_rollout_loses_no_request(cluster: Cluster) -> None:
    """Clients would see refused or broken connections whenever a pod is replaced."""
    doomed = cluster.pods[-1]
    grace = float(doomed.spec.containers[0].variables["MLAPI_DRAIN_GRACE_S"])
    texts = [f"Text {number} of a bulk request that is under way." for number in range(BULK_TEXTS)]

    with ThreadPoolExecutor() as threads, make_client(doomed.url()) as direct:
        with asking(cluster.url("mlapi", 80)) as answers:
            bulk = threads.submit(direct.post, "/project/bulk-predict", json={"text": texts}, timeout=60)
            eventually(lambda: is_queued(doomed.url("metrics")))
            told = time.monotonic()
            ending = threads.submit(cluster.delete, doomed)
            eventually(lambda: health(doomed.url()) == (httpx.codes.SERVICE_UNAVAILABLE, "draining"))
            late = direct.post("/project/predict", json={"text": "A late one."})
            ending.result()
            took = time.monotonic() - told

        (run,) = doomed.runs("mlapi")
        assert (run.status, run.reason) == (0, "Completed")
        assert late.status_code == 200, late.text
        assert len(bulk.result().json()["predictions"]) == BULK_TEXTS
        assert [status for each in answers for status in each.result() if status != 200] == []
        assert grace <= took < doomed.spec.grace_s, "it ended by itself, after its grace"


@contextmanager
def asking(url: str) -> Iterator[list[Future[list[int]]]]:
    """Send new texts to a Service, over connections that are kept and over new ones; yield the statuses."""
    stop = threading.Event()

    def ask(*, reconnect: bool) -> list[int]:
        statuses: list[int] = []
        headers = {"Connection": "close"} if reconnect else {}
        with make_client(url) as client:
            while not stop.wait(0.01):
                body = {"text": f"A text that nobody sent before, at {time.monotonic()}."}
                statuses.append(client.post("/project/predict", json=body, headers=headers).status_code)
        return statuses

    with ThreadPoolExecutor() as threads:
        try:
            yield [threads.submit(ask, reconnect=reconnect) for reconnect in (False, False, True)]
        finally:
            stop.set()


def health(url: str) -> tuple[int, str]:
    """Return what readiness says."""
    answer = httpx.get(f"{url}/project/health", trust_env=False)
    return answer.status_code, answer.json()["status"]


def is_reached(url: str) -> bool:
    """Whether the Service passes connections on."""
    try:
        return health(url)[0] == httpx.codes.OK
    except httpx.TransportError:
        return False


def is_queued(url: str) -> bool:
    """Whether texts of a bulk request wait in a pod."""
    metrics = samples(httpx.get(f"{url}/metrics", trust_env=False).text)
    return metrics.get('mlapi_queue_texts{lane="bulk"}', 0) > 0  # there from the first one on
