"""The image in a container, locked up as a pod is: answers, limits, probes, an end without a lost request."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.deploy.image.service_container import running_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.image.service_container import ServiceContainer

pytestmark = pytest.mark.container

PROBE_TIMEOUT_S = 3.0
"""The probes' timeoutSeconds."""
READY_S = 5.0
"""Under 2 s on a quiet machine; another test may build an image beside it."""


@pytest.fixture(scope="module")
def service(engine: Engine, image: str) -> Iterator[ServiceContainer]:
    """The service as a pod has it."""
    with running_service(engine, image) as running:
        yield running


def test_it_answers_on_all_routes(service: ServiceContainer) -> None:
    """If it fails, the image lacks something that an answer needs, or cannot do without writing somewhere."""
    health = service.client.get("/health").json()
    assert (health["status"], health["engine"]) == ("healthy", "openvino")
    assert service.client.get("/health/live").json() == {"status": "alive"}
    one = service.client.post("/predict", json={"text": "A warm, funny film with a wonderful cast."}).json()
    assert one["prediction"][0]["label"] == "POSITIVE"
    many = service.client.post("/bulk-predict", json={"text": ["Great.", "Dull."]}).json()
    assert [scores[0]["label"] for scores in many["predictions"]] == ["POSITIVE", "NEGATIVE"]
    assert service.client.get("/docs").status_code == httpx.codes.OK
    assert service.metric("mlapi_engine_threads") > 0


def test_it_says_nothing_that_is_worse_than_information(service: ServiceContainer) -> None:
    """If it fails, a read-only root or a missing plugin makes a library complain at each start."""
    lines = service.container.logs().splitlines()
    assert lines
    assert not [line for line in lines if '"level": "info"' not in line]


def test_it_cannot_write_outside_of_tmp(service: ServiceContainer) -> None:
    """If it fails, the tests here run in a looser container than the pods."""
    with pytest.raises(AssertionError, match="Read-only file system"):
        service.container.execute("touch", "/models/default/x")
    service.container.execute("touch", "/tmp/x")
    assert service.container.execute("id", "-u") == "10001"


def test_the_lab_is_the_same_image_with_other_settings(engine: Engine, image: str) -> None:
    """If it fails, the lab service needs an image of its own."""
    variables = {"MLAPI_MODEL": "/models/lab", "MLAPI_PREFIX": "/lab"}
    with running_service(engine, image, cpus=1, memory="256m", prefix="/lab", variables=variables) as lab:
        assert lab.client.get("/health").json()["model"]["name"] == "lab"
        answer = lab.client.post(
            "/predict", json={"text": "A warm, funny film with a wonderful cast."}
        ).json()
        assert answer["prediction"][0]["label"] == "POSITIVE"


@pytest.mark.parametrize("cpus", [1, 2])
def test_threads_are_those_of_the_quota(engine: Engine, image: str, cpus: int) -> None:
    """If it fails, the engine's threads fight for a quota that they do not see, and all texts wait."""
    if (os.cpu_count() or 1) < cpus:
        pytest.skip(f"this machine has fewer than {cpus} CPUs")
    with running_service(engine, image, cpus=cpus) as service:
        assert service.metric("mlapi_engine_threads") == cpus


def test_it_is_ready_within_seconds(engine: Engine, image: str) -> None:
    """If it fails, a scale-out comes too late. The best of three, because the machine may have other work."""
    ready = []
    for _ in range(3):
        with running_service(engine, image) as service:
            ready.append(service.ready_s)
    assert min(ready) <= READY_S, ready


def largest_bulk() -> list[str]:
    """Return 10,000 different texts that fill 4 MiB; a long word is one token: the engine keeps up."""
    return [f"a fine film number {number:05d} {'x' * 380}" for number in range(10_000)]


def test_probes_pass_on_one_cpu_during_the_largest_bulk_request(engine: Engine, image: str) -> None:
    """If it fails, Kubernetes restarts a pod because it has much to do."""
    with running_service(engine, image, cpus=1) as service:
        statuses: list[int] = []
        body = httpx.Request("POST", "http://x", json={"text": largest_bulk()}).read()
        assert 4_000_000 < len(body) <= 4 * 1024 * 1024

        def send() -> None:
            answer = httpx.post(
                f"{service.origin}/project/bulk-predict",
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=300,
            )
            statuses.append(answer.status_code)

        client = threading.Thread(target=send)
        client.start()
        waited = []
        while client.is_alive():
            for route in ("/health", "/health/live"):
                started = time.monotonic()
                # As the kubelet does it: a connection for each probe.
                probe = httpx.get(f"{service.origin}/project{route}", timeout=60)
                waited.append(time.monotonic() - started)
                assert probe.status_code == httpx.codes.OK
            time.sleep(0.05)
        client.join()
        assert statuses == [httpx.codes.OK]
        assert max(waited) < PROBE_TIMEOUT_S


@dataclass(slots=True)
class Traffic:
    """Clients that send until they are told to stop, as a load balancer does once readiness says no.

    Attributes:
        statuses: Of every answer.
        failures: What went wrong on the way.
    """

    origin: str
    stop: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def send(self, client: int) -> None:
        """Send one text after another."""
        number = 0
        with httpx.Client(base_url=self.origin, timeout=60) as connection:
            while not self.stop.is_set():
                text = f"client {client} sends its film number {number}, which was long and slow " * 4
                number += 1
                try:
                    self.statuses.append(connection.post("/project/predict", json={"text": text}).status_code)
                except httpx.TransportError as error:
                    self.failures.append(f"{client}/{number}: {error!r}")


def test_sigterm_under_load_loses_no_request_and_ends_with_status_0(engine: Engine, image: str) -> None:
    """If it fails, every rollout and every scale-in costs requests, or pods end as failed."""
    with running_service(engine, image) as service:
        traffic = Traffic(service.origin)
        clients = [threading.Thread(target=traffic.send, args=(number,)) for number in range(8)]
        for client in clients:
            client.start()
        try:
            while len(traffic.statuses) < 100:
                time.sleep(0.05)
            before = len(traffic.statuses)
            service.container.signal("TERM")
            while service.client.get("/health").status_code == httpx.codes.OK:
                time.sleep(0.05)
            assert service.client.get("/health").json()["status"] == "draining"
            time.sleep(1)  # what it takes until the last proxy has heard of it
        finally:
            traffic.stop.set()
            for client in clients:
                client.join()
        assert traffic.failures == []
        assert set(traffic.statuses) == {httpx.codes.OK}
        assert len(traffic.statuses) > before
        assert service.container.wait() == 0
