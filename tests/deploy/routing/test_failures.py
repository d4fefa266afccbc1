"""Pods that are gone or slow, behind a real Envoy that routes as the overlay `prod` says."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from mlapi.api.problems import DEADLINE_EXCEEDED
from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.process import Envoy
from tests.support.deploy.envoy.routed_pods import DyingPod, Pod, refusing_port
from tests.support.deploy.envoy.routed_renders import API, NAME, SHARED, changed, production
from tests.support.http_server import ServerProcess, assert_problem, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.support.deploy.objects import Object

FAILURES = 5
"""`consecutiveLocalOriginFailures`."""


def _with_policy(part: str, **fields: Any) -> list[Object]:
    """Change fields of the API's DestinationRule."""
    copies, rule = changed(production(), "DestinationRule", "mlapi")
    policy = rule["trafficPolicy"]
    for name in part.split("."):
        policy = policy[name]
    policy |= fields
    return copies


def _with_timeouts(**timeouts: str) -> list[Object]:
    """Change timeouts of routes, by name."""
    copies, routed = changed(production(), "VirtualService", "mlapi")
    for route in routed["http"]:
        route["timeout"] = timeouts.get(route["name"].replace("-", "_"), route["timeout"])
    return copies


def _predict(client: httpx.Client, text: str = "a film") -> httpx.Response:
    return client.post("/project/predict", json={"text": text})


def test_a_refused_connection_is_tried_elsewhere(tmp_path: Path) -> None:
    """Each pod that ends would cost the requests that are routed to it in its last second.

    Envoy draws another pod by lot, six times at most, and of two pods may draw the dead one each time: one
    retry in 64. Without retries FAILURES requests would be lost before the dead pod is ejected.
    """
    with Pod() as pod, refusing_port() as dead:
        with Envoy(bootstrap(production(), {"mlapi": [dead, pod.port]}), tmp_path) as envoy:
            client = envoy.client(SHARED, NAME)
            statuses = [_predict(client, f"text {number}").status_code for number in range(20)]
            stats = envoy.stats(API)
        assert statuses.count(200) >= 20 - FAILURES // 2
        assert stats["upstream_cx_connect_fail"] > 0
        assert stats["upstream_rq_retry_success"] > 0
        assert pod.answered(200) == statuses.count(200)


def test_a_request_that_a_pod_has_seen_is_not_repeated(tmp_path: Path) -> None:
    """A text that brings a pod down would be carried to the next one."""
    with DyingPod() as one, DyingPod() as other:
        with Envoy(bootstrap(production(), {"mlapi": [one.port, other.port]}), tmp_path) as envoy:
            client = envoy.client(SHARED, NAME)
            assert {_predict(client).status_code for _ in range(10)} == {503}
            assert envoy.stats(API)["upstream_rq_retry"] == 0
        assert one.requests + other.requests == 10


def test_a_dead_pod_is_ejected_and_comes_back(tiny_model: Path, tmp_path: Path) -> None:
    """Requests would go on trying a pod that died with its node; or one that is back would stay idle.

    Envoy's lot may lose a request, see above.
    """
    rules = _with_policy("outlierDetection", interval="0.2s", baseEjectionTime="1s")
    with Pod() as other, ServerProcess(tiny_model) as dying:
        port = dying.client.base_url.port
        assert port is not None
        with Envoy(bootstrap(rules, {"mlapi": [port, other.port]}), tmp_path) as envoy:
            client = envoy.client(SHARED, NAME)
            dying.stop(signal.SIGKILL)
            wait_until(lambda: _predict(client).status_code == 200 and envoy.ejected(API) == {port})
            stats = envoy.stats(API)
            assert stats.get("upstream_rq_5xx", 0) <= FAILURES // 2
            assert stats["upstream_cx_connect_fail"] == FAILURES
            assert stats["outlier_detection.ejections_enforced_consecutive_local_origin_failure"] == 1
            with ServerProcess(tiny_model, "--port", str(port)) as restarted:
                version = restarted.client.get("/health").json()["model"]["version"]
                wait_until(lambda: not envoy.ejected(API))
                wait_until(lambda: _predict(client).headers["X-Model-Version"] == version)


def test_the_services_own_deadline_reaches_the_client(tmp_path: Path) -> None:
    """Clients would get the gateway's words for it, or the engine the same text twice."""
    with Pod(predict_timeout_s=0.3) as one, Pod(predict_timeout_s=0.3) as other:
        for pod in (one, other):
            pod.engine.gate.clear()
        with Envoy(bootstrap(production(), {"mlapi": [one.port, other.port]}), tmp_path) as envoy:
            assert_problem(_predict(envoy.client(SHARED, NAME)), DEADLINE_EXCEEDED)
            stats = envoy.stats(API)
        assert one.answered(504) + other.answered(504) == 1
        assert stats["upstream_rq_timeout"] == 0
        assert stats["outlier_detection.ejections_enforced_total"] == 0


def test_a_bulk_request_may_take_longer(tmp_path: Path) -> None:
    """Thousands of texts would be cut off by the timeout that is meant for one."""
    rules = _with_timeouts(project="0.3s", project_bulk="20s")
    with Pod() as pod, Envoy(bootstrap(rules, {"mlapi": [pod.port]}), tmp_path) as envoy:
        pod.engine.gate.clear()
        client = envoy.client(SHARED, NAME)
        assert _predict(client).status_code == 504
        assert envoy.stats(API)["upstream_rq_timeout"] == 1
        threading.Timer(0.8, pod.engine.gate.set).start()
        assert client.post("/project/bulk-predict", json={"text": ["a film"]}).status_code == 200


def test_the_gateway_closes_idle_connections(tmp_path: Path) -> None:
    """The service would close them first, and a request that is just being sent would be lost."""
    rules = _with_policy("connectionPool.http", idleTimeout="0.2s")
    with Pod() as pod, Envoy(bootstrap(rules, {"mlapi": [pod.port]}), tmp_path) as envoy:
        assert _predict(envoy.client(SHARED, NAME)).status_code == 200
        wait_until(lambda: envoy.stats(API)["upstream_cx_idle_timeout"] == 1)
        assert envoy.stats(API)["upstream_cx_destroy_remote"] == 0
