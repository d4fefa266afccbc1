"""KEDA's queries against the metrics that the service really has: a misspelt one would read as no load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.deploy.objects import find

if TYPE_CHECKING:
    from tests.support.deploy.renders import Renders

SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
ADDED = frozenset({"namespace", "container", "track"})
"""Labels that Prometheus adds, by what it scrapes."""


@pytest.fixture
def exposed(starter_port: int) -> str:
    """What a service says of itself after a request."""
    address = f"http://127.0.0.1:{starter_port}"
    assert httpx.post(f"{address}/project/predict", json={"text": "Fine."}).is_success
    return httpx.get(f"{address}/metrics").text


@pytest.mark.parametrize("trigger", ["queue", "latency"])
def test_a_query_finds_what_the_service_measures(renders: Renders, exposed: str, trigger: str) -> None:
    """The autoscaler asks for a metric or a label that the service does not have, and never scales."""
    scaled = find(renders["keda"], "ScaledObject", "mlapi")
    assert scaled is not None
    (query,) = [
        each["metadata"]["query"] for each in scaled["spec"]["triggers"] if each.get("name") == trigger
    ]
    selectors = SELECTOR.findall(query)
    assert selectors
    for name, labels in selectors:
        own = [pair for pair in re.findall(r'(\w+)="([^"]*)"', labels) if pair[0] not in ADDED]
        series = [line for line in exposed.splitlines() if line.startswith(f"{name}{{")]
        assert any(all(f'{key}="{value}"' in line for key, value in own) for line in series), (name, own)


def test_the_queries_ask_for_this_namespace(renders: Renders) -> None:
    """The load of another installation in the cluster makes pods here."""
    scaled = find(renders["keda"], "ScaledObject", "mlapi")
    assert scaled is not None
    queries = [
        each["metadata"]["query"] for each in scaled["spec"]["triggers"] if each["type"] == "prometheus"
    ]
    wanted = f'namespace="{scaled["metadata"]["namespace"]}"'
    assert queries
    assert all(query.count("{") == query.count(wanted) for query in queries)
