"""Two real services behind a real Envoy that routes as the overlay `prod` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlapi.api.problems import NO_SUCH_ROUTE, NOT_JSON
from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.process import Envoy
from tests.support.deploy.envoy.routed_renders import API, NAME, SHARED, production
from tests.support.http_server import REPOSITORY, HttpServer, assert_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

MODELS = REPOSITORY / "models"
TEXT = {"text": "A warm, funny film with a wonderful cast."}
REFUSED = (
    "/",
    "/projectX",
    "/projectX/health",
    "/project-v2/health",
    "/labs",
    "/metrics",
    "/project/../metrics",
    "/project/%2e%2e/metrics",
    "//project/health",
)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, starter_port: int) -> Iterator[Envoy]:
    """Envoy in front of the API with the committed model, and of the lab."""
    with HttpServer(MODELS / "lab", prefix="/lab") as lab:
        config = bootstrap(production(), {"mlapi": [starter_port], "lab": [lab.port]})
        with Envoy(config, tmp_path_factory.mktemp("envoy")) as running:
            yield running


@pytest.fixture
def client(envoy: Envoy) -> httpx.Client:
    """A client outside the cluster."""
    return envoy.client(SHARED, NAME)


@pytest.mark.parametrize(("prefix", "model"), [("/project", "starter"), ("/lab", "lab")])
def test_each_prefix_reaches_its_service(client: httpx.Client, prefix: str, model: str) -> None:
    """Clients of one model would get the answers of the other, or none."""
    health = client.get(f"{prefix}/health")
    assert health.status_code == 200
    assert health.json()["model"]["name"] == model
    answer = client.post(f"{prefix}/predict", json=TEXT)
    assert answer.status_code == 200
    assert answer.json()["prediction"][0]["label"] == "POSITIVE"
    bulk = client.post(f"{prefix}/bulk-predict", json={"text": [TEXT["text"]] * 3})
    assert len(bulk.json()["predictions"]) == 3
    assert answer.headers["X-Model-Version"] == bulk.headers["X-Model-Version"]


@pytest.mark.parametrize("path", ["/project", "/project/", "/lab", "/lab/", "/project/nowhere"])
def test_the_bare_prefix_and_what_is_under_it_are_the_services(client: httpx.Client, path: str) -> None:
    """The gateway would answer for the service, without a problem document and a request id."""
    assert_problem(client.get(path), NO_SUCH_ROUTE)


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_not_ours_is_refused_at_the_gateway(envoy: Envoy, client: httpx.Client, path: str) -> None:
    """Another team's path, or the metrics, would be answered by the service."""
    before = envoy.stats(API)["upstream_rq_total"]
    answer = client.get(path)
    assert answer.status_code == 404
    assert "x-request-id" not in answer.headers
    assert envoy.stats(API)["upstream_rq_total"] == before


def test_another_host_is_refused(envoy: Envoy) -> None:
    """Whoever points a name at the gateway would be served under it."""
    assert envoy.client(SHARED, "other.example.com").get("/project/health").status_code == 404


def test_the_host_may_carry_a_port(envoy: Envoy) -> None:
    """Clients that name the port, as they must behind a tunnel, would be refused."""
    assert envoy.client(SHARED, f"{NAME}:8443").get("/project/health").status_code == 200


def test_problems_and_headers_pass_unchanged(client: httpx.Client) -> None:
    """Clients would see a gateway's page instead of what is wrong with their request."""
    assert_problem(client.post("/project/predict", content=b"{"), NOT_JSON)
    answer = client.post("/project/predict", json=TEXT)
    assert {"x-model-version", "x-cache", "x-truncated", "server-timing"} <= set(answer.headers)
