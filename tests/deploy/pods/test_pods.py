"""The pods of the dev overlay, run by a container engine from the rendered manifests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
import redis

from tests.support.deploy.pods.dev import dev_cluster, eventually
from tests.support.http_server import make_client, samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.pods.cluster import Cluster
    from tests.support.deploy.pods.pod import Pod

pytestmark = pytest.mark.container

UIDS = {"mlapi": 10001, "lab": 10001, "redis": 999}


@pytest.fixture(scope="module")
def cluster(engine: Engine, image: str) -> Iterator[Cluster]:
    """Redis, two pods of the API and one of the lab, with their Services; all ready."""
    with dev_cluster(engine, image) as cluster:
        cluster.serve("redis", "mlapi", "lab")
        for name in ("redis", "mlapi", "mlapi", "lab"):
            cluster.start(name)
        for pod in cluster.pods:
            pod.wait_ready()
        eventually(lambda: all(reached(cluster.url(name, 80)) for name in ("mlapi", "lab")))
        yield cluster


def pods(cluster: Cluster, name: str) -> list[Pod]:
    """Return the running pods of a Deployment."""
    return [pod for pod in cluster.pods if pod.spec.name == name]


def store(cluster: Cluster) -> redis.Redis:
    """Return a client of the Redis pod."""
    return redis.Redis(port=pods(cluster, "redis")[0].published("redis"))


@pytest.mark.parametrize(("service", "port", "path"), [("mlapi", 80, "/project"), ("lab", 80, "/lab")])
def test_a_service_answers_under_its_path(cluster: Cluster, service: str, port: int, path: str) -> None:
    """The API or the lab would not come up, or not under the path that the gateway sends there."""
    with make_client(cluster.url(service, port) + path) as client:
        eventually(lambda: client.get("/health").json()["cache"] == "ok")  # known after the first look
        health = client.get("/health").json()
        answer = client.post("/predict", json={"text": "A warm, funny film with a wonderful cast."})

    assert health["status"] == "healthy"
    assert answer.json()["prediction"][0]["label"] == "POSITIVE"


def test_the_lab_can_be_reached_from_outside(cluster: Cluster) -> None:
    """Developers would have no address for the lab, which has no gateway in front of it in dev."""
    cluster.serve("lab-external")
    url = cluster.url("lab-external", 8081)

    eventually(lambda: reached(f"{url}/lab/health"))


def test_what_one_pod_computed_another_takes_from_redis(cluster: Cluster) -> None:
    """Each pod would have a cache of its own, and Redis would be of no use."""
    first, second = pods(cluster, "mlapi")
    body = {"text": ["Seen by the first pod alone.", "So was this one."]}
    with make_client(first.url()) as one, make_client(second.url()) as other, store(cluster) as held:
        before = held.dbsize()
        computed = one.post("/project/predict", json=body)
        eventually(lambda: held.dbsize() >= before + 2)  # written behind the response
        found = other.post("/project/predict", json=body)

    assert computed.headers["x-cache"] == "hits=0, misses=2, coalesced=0"
    assert found.headers["x-cache"] == "hits=2, misses=0, coalesced=0"
    assert found.json() == computed.json()


@pytest.mark.parametrize("name", ["mlapi", "lab"])
def test_metrics_have_a_port_of_their_own(cluster: Cluster, name: str) -> None:
    """Prometheus would find nothing, or whoever reaches the service would find the metrics."""
    pod = pods(cluster, name)[0]
    with make_client(pod.url("metrics")) as metrics, make_client(pod.url()) as main:
        assert samples(metrics.get("/metrics").text)["mlapi_cache_up"] == 1
        assert main.get("/metrics").status_code == 404
        assert metrics.get("/project/health").status_code == 404
    assert 9090 not in [port for spec in cluster.objects.services.values() for port in spec.ports]


def test_the_engine_takes_the_cpus_that_the_manifest_gives(cluster: Cluster) -> None:
    """The engine would run with as many threads as the node has CPUs, and be throttled."""
    pod = pods(cluster, "mlapi")[0]
    cpus = pod.spec.containers[0].resources.cpus

    log = pod.running("mlapi").container.logs()

    assert cpus == 2
    assert f"quota of {cpus:g} CPUs" in log


@pytest.mark.parametrize("name", ["mlapi", "lab", "redis"])
def test_a_pod_has_no_rights_and_writes_nowhere(cluster: Cluster, name: str) -> None:
    """Whoever breaks into a container could change its files, become root or keep a capability."""
    container = pods(cluster, name)[0].running(name).container

    status = dict(re.findall(r"^(\w+):\s*(.*)$", container.execute("cat", "/proc/1/status"), re.MULTILINE))
    # Of other file systems it lists the places alone. It ends with 1 for folders that it may not even read.
    search = ("find", "/", "-xdev", "(", "-type", "d", "-o", "-type", "f", ")", "-writable")
    writable = container.engine.try_run("exec", container.name, *search).stdout.split()
    mounts = cluster.objects.pods[name].containers[0].mounts

    assert status["Uid"].split() == status["Gid"].split() == [str(UIDS[name])] * 4
    assert {int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(writable) == {mount.path for mount in mounts if not mount.read_only}


def test_the_service_has_a_place_for_temporary_files(cluster: Cluster) -> None:
    """A library that needs a temporary file would fail on the read-only root."""
    container = pods(cluster, "mlapi")[0].running("mlapi").container

    written = "import tempfile; print(tempfile.TemporaryFile().name is not None, tempfile.gettempdir())"

    assert container.execute("python", "-c", written) == "True /tmp"


def test_redis_runs_with_the_rendered_configuration(cluster: Cluster) -> None:
    """Redis would grow beyond its limit, refuse writes when full, or try to write to disk."""
    with store(cluster) as held:
        memory, persistence = held.info("memory"), held.info("persistence")
    limit = pods(cluster, "redis")[0].spec.containers[0].resources.memory
    assert limit is not None

    assert memory["maxmemory_policy"] == "allkeys-lru"
    assert 0 < memory["maxmemory"] * 1.25 <= limit
    assert (persistence["aof_enabled"], persistence["rdb_bgsave_in_progress"]) == (0, 0)


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "GET", "maxmemory"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("EVAL", "return 1", "0"),
        ("SHUTDOWN", "NOSAVE"),
        ("ACL", "LIST"),
        ("REPLICAOF", "NO", "ONE"),
        ("SET", "of another application", "x"),
    ],
    ids=lambda command: command[0],
)
def test_redis_refuses_what_a_cache_does_not_need(cluster: Cluster, command: tuple[str, ...]) -> None:
    """Whoever reaches Redis could empty it, read its settings or run scripts in it."""
    with store(cluster) as held, pytest.raises(redis.exceptions.NoPermissionError):
        held.execute_command(*command)


def test_a_full_redis_makes_room_for_new_answers(cluster: Cluster) -> None:
    """At its limit Redis would refuse new answers, or be killed for its memory."""
    pod = pods(cluster, "redis")[0]
    with store(cluster) as held, make_client(pods(cluster, "mlapi")[0].url()) as client:
        maximum, size = held.info("memory")["maxmemory"], 2**18
        for first in range(0, maximum * 5 // 4 // size, 64):
            with held.pipeline(transaction=False) as pipeline:
                for number in range(first, first + 64):
                    pipeline.set(f"mlapi:filler:{number}", b"x" * size)
                pipeline.execute()
        evicted = held.info("stats")["evicted_keys"]
        answers = len(list(held.scan_iter("mlapi:[^f]*")))
        client.post("/project/predict", json={"text": "Written into a full Redis."})
        eventually(lambda: len(list(held.scan_iter("mlapi:[^f]*"))) > answers)

        assert evicted > 0
        assert held.info("memory")["used_memory"] <= maximum
    assert pod.is_ready
    assert not pod.runs("redis"), "it was not killed for its memory"


def reached(url: str) -> bool:
    """Whether the service answers at an address, with whatever status."""
    try:
        return httpx.get(url, trust_env=False).status_code > 0
    except httpx.TransportError:
        return False
