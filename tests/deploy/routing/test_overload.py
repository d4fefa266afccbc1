"""Services that are full, behind a real Envoy: it must neither repeat what they refuse nor shun them."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mlapi.api.problems import OVERLOADED
from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.process import Envoy
from tests.support.deploy.envoy.routed_pods import Pod
from tests.support.deploy.envoy.routed_renders import API, NAME, SHARED, changed, production
from tests.support.http_server import assert_problem, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from tests.support.deploy.objects import Object

PODS = 2
REFUSALS = 100
WAITING = 64
LIMITS = {"max_queue_texts": 4, "predict_max_texts": 4, "bulk_window": 4}


@pytest.fixture
def full_pods() -> Iterator[list[Pod]]:
    """Services whose engine is busy and whose queue is full, until their gates open."""
    with contextlib.ExitStack() as stack:
        pods = [stack.enter_context(Pod(**LIMITS)) for _ in range(PODS)]
        waiting = stack.enter_context(ThreadPoolExecutor(2 * PODS))
        for pod in pods:
            stack.callback(pod.engine.gate.set)
            _fill(pod, waiting)
        yield pods


def _fill(pod: Pod, waiting: ThreadPoolExecutor) -> None:
    """Have one text computed and four wait."""
    pod.engine.gate.clear()
    waiting.submit(pod.client.post, "/predict", json={"text": "busy"})
    wait_until(lambda: bool(pod.engine.batches))
    waiting.submit(pod.client.post, "/predict", json={"text": ["a", "b", "c", "d"]})
    wait_until(lambda: pod.metric('mlapi_queue_texts{lane="interactive"}') == LIMITS["max_queue_texts"])


def _overload(client: httpx.Client, refusals: int) -> None:
    """Send requests that are to be refused, one after the other."""
    for number in range(refusals):
        refused = client.post("/project/predict", json={"text": f"one too many {number}"})
        assert_problem(refused, OVERLOADED)
        assert int(refused.headers["retry-after"]) >= 1


def _ports(pods: list[Pod]) -> dict[str, list[int]]:
    return {"mlapi": [pod.port for pod in pods]}


def _refused(pods: list[Pod]) -> int:
    return sum(pod.answered(503) for pod in pods)


def test_100_refusals_cause_neither_retry_nor_ejection(full_pods: list[Pod], tmp_path: Path) -> None:
    """Under overload the gateway would multiply the load, and shut out the pods that hold the rest of it."""
    with Envoy(bootstrap(production(), _ports(full_pods)), tmp_path) as envoy:
        client = envoy.client(SHARED, NAME)
        _overload(client, REFUSALS)
        assert _refused(full_pods) == REFUSALS
        assert all(pod.answered(503) for pod in full_pods), "one pod was never asked"
        stats = envoy.stats(API)
        assert stats["upstream_rq_503"] == REFUSALS
        assert stats["upstream_rq_retry"] == 0
        assert stats["outlier_detection.ejections_enforced_total"] == 0
        assert envoy.ejected(API) == set()
        for pod in full_pods:
            pod.engine.gate.set()
        # a pod refuses until what had waited is answered
        wait_until(lambda: client.post("/project/predict", json={"text": "calm again"}).status_code == 200)


def _default_retries() -> list[Object]:
    copies, routed = changed(production(), "VirtualService", "mlapi")
    for route in routed["http"]:
        del route["retries"]
    return copies


def _ejecting() -> list[Object]:
    copies, rule = changed(production(), "DestinationRule", "mlapi")
    rule["trafficPolicy"]["outlierDetection"]["consecutiveGatewayErrors"] = 5
    return copies


@pytest.mark.parametrize(
    ("change", "stat"),
    [
        (_default_retries, "upstream_rq_retry"),
        (_ejecting, "outlier_detection.ejections_enforced_consecutive_gateway_failure"),
    ],
)
def test_other_rules_would_be_noticed(
    full_pods: list[Pod],
    tmp_path: Path,
    change: Callable[[], list[Object]],
    stat: str,
) -> None:
    """The test above would pass whatever the rules say, be it Istio's own retries or its count of errors."""
    with Envoy(bootstrap(change(), _ports(full_pods)), tmp_path) as envoy:
        _overload(envoy.client(SHARED, NAME), 20)
        assert envoy.stats(API)[stat] > 0


def test_a_limit_of_the_mesh_is_not_what_refuses(tmp_path: Path) -> None:
    """Envoy would answer 503 without Retry-After for requests that the service has room for."""
    with Pod(predict_timeout_s=60) as pod, Envoy(bootstrap(production(), _ports([pod])), tmp_path) as envoy:
        pod.engine.gate.clear()
        client = envoy.client(SHARED, NAME)
        with ThreadPoolExecutor(WAITING) as clients:
            texts = [{"text": f"text {number}"} for number in range(WAITING)]
            waiting = [clients.submit(client.post, "/project/predict", json=text) for text in texts]
            wait_until(lambda: envoy.stats(API)["upstream_rq_active"] == WAITING)
            pod.engine.gate.set()
            assert {one.result().status_code for one in waiting} == {200}
