"""Redis is killed, freezes and goes away under running pods of the API, which go on answering."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.pods.dev import dev_cluster, eventually
from tests.support.http_server import make_client, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.cluster import Cluster
    from tests.support.deploy.pods.pod import Pod

pytestmark = pytest.mark.container

SLOWEST_S = 5.0
"""Far beyond what a request takes without Redis (0.1 s for the cache, some for the engine), and half of the
10 s after which it would fail. A busy machine is slow now and then."""


@pytest.fixture(scope="module")
def cluster(engine: Engine, image: str) -> Iterator[Cluster]:
    """Redis and one pod of the API, ready; each test leaves them so."""
    with dev_cluster(engine, image) as cluster:
        cluster.serve("redis")
        for name in ("redis", "mlapi"):
            cluster.start(name)
        for pod in cluster.pods:
            pod.wait_ready()
        yield cluster


@pytest.fixture
def api(cluster: Cluster) -> Pod:
    """The pod of the API."""
    return next(pod for pod in cluster.pods if pod.spec.name == "mlapi")


@pytest.fixture
def redis(cluster: Cluster) -> Pod:
    """The pod of Redis."""
    return next(pod for pod in cluster.pods if pod.spec.name == "redis")


def test_a_killed_redis_costs_no_request_and_comes_back(api: Pod, redis: Pod) -> None:
    """A crash of the cache would take the API down with it, or leave it without a cache for ever."""
    with make_client(api.url()) as client, load(api, client) as seen:
        redis.running("redis").container.signal("KILL")
        redis.wait_until(lambda: bool(redis.runs("redis")), "was not killed")
        redis.wait_ready()
        eventually(lambda: cache(api) == 1)

    assert redis.runs("redis")[-1].status == 137
    seen.check()
    assert not api.runs("mlapi")


def test_a_frozen_redis_costs_no_request(api: Pod, redis: Pod) -> None:
    """A Redis that takes connections and answers nothing would hold requests, or make the API unready."""
    frozen = redis.running("redis").container
    with make_client(api.url()) as client, load(api, client) as seen:
        frozen.signal("STOP")
        try:
            eventually(lambda: cache(api) == 0)
            assert client.get("/project/health").json()["cache"] == "down"
            redis.wait_until(lambda: not redis.is_ready, "is ready, though frozen")
        finally:
            frozen.signal("CONT")
        redis.wait_ready()
        eventually(lambda: cache(api) == 1)

    seen.check()
    assert not api.runs("mlapi")


def test_a_redis_that_is_away_is_told_and_missed_by_nobody(cluster: Cluster, api: Pod, redis: Pod) -> None:
    """A pod of the API would become unready while Redis moves to another node."""
    with make_client(api.url()) as client, load(api, client) as seen:
        cluster.delete(redis)
        eventually(lambda: cache(api) == 0)
        assert client.get("/project/health").json()["cache"] == "down"
        cluster.start("redis").wait_ready()
        eventually(lambda: cache(api) == 1)
        assert client.get("/project/health").json()["cache"] == "ok"

    assert redis.runs("redis")[-1].status == 0, "it ends by itself when it is told to"
    seen.check()


def cache(pod: Pod) -> float:
    """Return what the metrics say of the cache."""
    with make_client(pod.url("metrics")) as client:
        return samples(client.get("/metrics").text)["mlapi_cache_up"]


class Seen:
    """What a client and the kubelet saw of a pod meanwhile."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seconds: list[float] = []
        self.unready = 0

    def check(self) -> None:
        """Fail unless every request was answered in time, and the pod was ready all the while."""
        assert len(self.statuses) >= 5
        assert set(self.statuses) == {200}
        assert max(self.seconds) < SLOWEST_S
        assert not self.unready


@contextmanager
def load(pod: Pod, client: httpx.Client) -> Iterator[Seen]:
    """Send the pod new texts, one after the other, and look whether it is ready."""
    seen, stop = Seen(), threading.Event()

    def run() -> None:
        for number in itertools.count():
            started = time.monotonic()
            text = f"Text {number} of {started}."
            seen.statuses.append(client.post("/project/predict", json={"text": text}).status_code)
            seen.seconds.append(time.monotonic() - started)
            seen.unready += not pod.is_ready
            if stop.wait(0.02):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
