"""The gate in front of a pod's start: it waits for Redis, and not for ever."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.pods.dev import dev_cluster, eventually, render_dev, with_gate_timeout
from tests.support.http_server import make_client, samples

if TYPE_CHECKING:
    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.containers import Ended

pytestmark = pytest.mark.container

SHORT_S, LONG_S = 4, 600
"""In place of the overlay's 30 s in MLAPI_WAIT_TIMEOUT_S: so that giving up does not take so long, and so
that a busy machine is fast enough where nothing shall be given up."""


def test_the_gate_waits_for_redis_and_opens(engine: Engine, image: str) -> None:
    """A pod would start without the cache whenever it is faster than Redis."""
    with dev_cluster(engine, image, with_gate_timeout(render_dev(), LONG_S)) as cluster:
        pod = cluster.start("mlapi")
        pod.wait_until(lambda: "does not resolve" in pod.log("wait-dns"), "does not wait for the name")

        cluster.serve("redis")
        pod.wait_until(lambda: bool(pod.runs("wait-dns")), "does not find the name")
        pod.wait_until(lambda: "refused" in pod.log("wait-redis"), "does not wait for Redis")
        assert not pod.log("mlapi"), "the service waits for both steps of the gate"

        cluster.start("redis")
        pod.wait_ready()

        assert [(run.name, run.status, run.message) for run in pod.ended] == [
            ("wait-dns", 0, ""),
            ("wait-redis", 0, ""),
        ]
        assert "PONG" in pod.runs("wait-redis")[0].log
        with make_client(pod.url()) as client:
            eventually(lambda: client.get("/project/health").json()["cache"] == "ok")


def test_the_gate_gives_up_at_its_deadline_and_the_pod_starts(engine: Engine, image: str) -> None:
    """An outage of the cache would stop a scale-out, or the pods would not tell that they have no cache."""
    with dev_cluster(engine, image, with_gate_timeout(render_dev(), SHORT_S)) as cluster:
        cluster.serve("redis")
        pod = cluster.start("mlapi")
        pod.wait_ready()
        (found,), (gave_up,) = pod.runs("wait-dns"), pod.runs("wait-redis")

        assert (found.status, found.message) == (0, "")
        assert_gave_up(gave_up, "Redis at redis://redis:6379/0")
        assert found.seconds + gave_up.seconds >= SHORT_S
        with make_client(pod.url()) as client, make_client(pod.url("metrics")) as metrics:
            health = client.get("/project/health")
            assert (health.status_code, health.json()["cache"]) == (200, "down")
            assert samples(metrics.get("/metrics").text)["mlapi_cache_up"] == 0
            assert client.post("/project/predict", json={"text": "Without a cache."}).status_code == 200

            cluster.start("redis")
            eventually(lambda: client.get("/project/health").json()["cache"] == "ok")
            assert samples(metrics.get("/metrics").text)["mlapi_cache_up"] == 1


def test_both_steps_of_the_gate_share_one_deadline(engine: Engine, image: str) -> None:
    """A name that is gone would cost the wait twice, and more than a rollout has time for."""
    with dev_cluster(engine, image, with_gate_timeout(render_dev(), SHORT_S)) as cluster:
        pod = cluster.start("lab")
        pod.wait_until(lambda: len(pod.ended) == 2, "does not get through the gate")
        name, redis = pod.ended

        assert_gave_up(name, "the name redis")
        assert_gave_up(redis, "Redis at redis://redis:6379/0")
        assert waited(name) >= SHORT_S
        assert waited(redis) < SHORT_S, "it has one more attempt, not another timeout"
        pod.wait_ready()


def assert_gave_up(run: Ended, what: str) -> None:
    """Check that a step of the gate says what it waited for in vain, and lets the pod start."""
    last = json.loads(run.log.splitlines()[-1])
    assert (run.status, run.reason) == (0, "Completed")
    assert what in run.message
    assert last["level"] == "warning"
    assert what in last["message"]


def waited(run: Ended) -> float:
    """Return the seconds that a step says it waited, without its start."""
    found = re.search(r"gave up after (\d+\.\d+) s", run.message)
    assert found, run
    return float(found[1])
