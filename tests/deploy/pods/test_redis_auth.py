"""Component redis-auth: Redis with a password, from a Secret that is mounted as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from tests.support.deploy.pods.dev import (
    dev_cluster,
    eventually,
    password_secret,
    render_with,
    with_gate_timeout,
)
from tests.support.http_server import make_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.cluster import Cluster
    from tests.support.deploy.pods.pod import Pod

pytestmark = pytest.mark.container

PASSWORD, NEXT_PASSWORD = "first 'pass\" word$", "second"
TIMEOUT_S = 3
"""In place of the base's MLAPI_WAIT_TIMEOUT_S, so that giving up does not take half a minute."""


@pytest.fixture
def cluster(engine: Engine, image: str) -> Iterator[Cluster]:
    """Redis with a password, ready, and its Service."""
    rendered = [*with_gate_timeout(render_with("redis-auth"), TIMEOUT_S), password_secret(PASSWORD)]
    with dev_cluster(engine, image, rendered) as cluster:
        cluster.serve("redis")
        cluster.start("redis").wait_ready()
        yield cluster


def test_a_password_works_end_to_end_and_can_be_changed(cluster: Cluster) -> None:
    """The service would be locked out of its cache, for good after the first rotation of the password."""
    (store,) = cluster.pods
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=store.published("redis")).ping()
    assert redis.Redis(port=store.published("redis"), password=PASSWORD).ping()
    assert not revealed(store, "redis", PASSWORD)

    pod = cluster.start("lab")
    pod.wait_ready()
    assert [(run.name, run.status, run.message) for run in pod.ended] == [
        ("wait-dns", 0, ""),
        ("wait-redis", 0, ""),
    ]
    assert not revealed(pod, "lab", PASSWORD)
    with make_client(pod.url()) as client:
        eventually(lambda: client.get("/lab/health").json()["cache"] == "ok")

        cluster.objects.put(password_secret(NEXT_PASSWORD))
        pod.rewrite_files()
        cluster.delete(store)
        cluster.start("redis").wait_ready()
        eventually(lambda: client.get("/lab/health").json()["cache"] == "ok")
    assert not pod.runs("lab"), "it took the new password without a restart"


def test_a_wrong_password_is_told(cluster: Cluster) -> None:
    """It would look as if Redis were away, and nobody would look at the Secret."""
    cluster.objects.put(password_secret("wrong"))
    pod = cluster.start("lab")
    pod.wait_ready()
    (gave_up,) = pod.runs("wait-redis")

    assert gave_up.status == 0
    assert "refuses the login" in gave_up.message
    assert "MLAPI_REDIS_PASSWORD_FILE" in gave_up.message
    assert "wrong" not in gave_up.log.replace("password is wrong or missing", "")
    with make_client(pod.url()) as client:
        health = client.get("/lab/health")
        assert (health.status_code, health.json()["cache"]) == (200, "down")


def test_an_empty_password_does_not_open_redis(engine: Engine, image: str) -> None:
    """A Secret whose value got lost would make Redis open to everyone."""
    rendered = [*render_with("redis-auth"), password_secret("")]
    with dev_cluster(engine, image, rendered) as cluster:
        pod = cluster.start("redis")
        pod.wait_until(lambda: bool(pod.runs("redis")), "did not end")

        assert pod.runs("redis")[0].status == 1
        assert "redis-auth is empty" in pod.runs("redis")[0].message
        assert not pod.is_ready


def revealed(pod: Pod, name: str, secret: str) -> bool:
    """Whether a secret stands in the arguments or the environment of a container's first process."""
    container = pod.running(name).container
    seen = [container.execute("cat", f"/proc/1/{file}") for file in ("cmdline", "environ")]
    return any(secret in each for each in seen) or secret in pod.log(name)
