"""Two models in two real services, behind a real Envoy that divides as the component `canary` says."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from typing import TYPE_CHECKING

import pytest

from mlapi.api.problems import NO_SUCH_ROUTE
from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.process import Envoy
from tests.support.deploy.envoy.routed_renders import CANARY, NAME, SHARED, with_canary
from tests.support.http_server import HttpServer, assert_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

SHARE = 20
REQUESTS = 1_000
SIGMAS = 6
"""A fair Envoy leaves these bounds once in 500 million runs."""


@pytest.fixture(scope="module")
def services(starter_port: int, tiny_model: Path) -> Iterator[dict[str, list[int]]]:
    """The committed model as it is served, and another version beside it."""
    with HttpServer(tiny_model) as canary:
        yield {"mlapi": [starter_port], "mlapi-canary": [canary.port]}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, services: dict[str, list[int]]) -> Iterator[Envoy]:
    """Envoy that gives the canary its share."""
    objects = with_canary(tmp_path_factory.mktemp("layer"), stable=100 - SHARE, canary=SHARE)
    with Envoy(bootstrap(objects, services), tmp_path_factory.mktemp("envoy")) as running:
        yield running


def _models(client: httpx.Client, path: str, requests: int) -> Counter[str]:
    """Count which models answer."""
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: client.get(path), range(requests))
        return Counter(answer.json()["model"]["name"] for answer in answers)


def test_the_weights_hold(envoy: Envoy) -> None:
    """A share of 20 % would be none or all: a new model would go untested, or to everybody."""
    found = _models(envoy.client(SHARED, NAME), "/project/health", REQUESTS)
    expected = REQUESTS * SHARE / 100
    margin = SIGMAS * sqrt(expected * (1 - SHARE / 100))
    assert found["starter"] + found["tiny"] == REQUESTS
    assert expected - margin < found["tiny"] < expected + margin


def test_without_weight_the_canary_gets_nothing(
    tmp_path_factory: pytest.TempPathFactory, services: dict[str, list[int]]
) -> None:
    """A canary would serve clients from the moment that it exists, before anybody has tried it."""
    objects = with_canary(tmp_path_factory.mktemp("layer"), stable=100, canary=0)
    with Envoy(bootstrap(objects, services), tmp_path_factory.mktemp("envoy")) as envoy:
        client = envoy.client(SHARED, NAME)
        assert _models(client, "/project/health", 100) == {"starter": 100}
        assert_problem(client.get("/project/v2x/health"), NO_SUCH_ROUTE)  # not under /project/v2/
        assert envoy.stats(CANARY)["upstream_rq_total"] == 0
        assert _models(client, "/project/v2/health", 10) == {"tiny": 10}


def test_v2_is_the_canary_under_its_own_prefix(envoy: Envoy) -> None:
    """The service knows itself as /project alone: /project/v2 would be 404, or the stable model."""
    client = envoy.client(SHARED, NAME)
    version = client.get("/project/v2/health").json()["model"]["version"]
    one = client.post("/project/v2/predict", json={"text": "a great film"})
    many = client.post("/project/v2/bulk-predict", json={"text": ["a great film", "a dull film"]})
    assert one.headers["X-Model-Version"] == many.headers["X-Model-Version"] == version
    assert one.json()["prediction"] == many.json()["predictions"][0]


@pytest.mark.parametrize("path", ["/project/v2", "/project/v2/", "/project/v2/nowhere"])
def test_v2_and_what_lies_under_it_belong_to_the_canary(envoy: Envoy, path: str) -> None:
    """The path without a slash would go to the stable service."""
    before = envoy.stats(CANARY)["upstream_rq_total"]
    assert_problem(envoy.client(SHARED, NAME).get(path), NO_SUCH_ROUTE)
    assert envoy.stats(CANARY)["upstream_rq_total"] == before + 1
