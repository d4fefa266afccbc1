from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mlapi import errors
from mlapi.api import problems
from mlapi.api.middleware import RequestContext
from mlapi.api.problems import (
    CLIENT_CLOSED_REQUEST,
    DEADLINE_EXCEEDED,
    DOMAIN_KINDS,
    INTERNAL,
    INVALID,
    KINDS,
    METHOD_NOT_ALLOWED,
    NO_SUCH_ROUTE,
    OVERLOADED,
    Kind,
    Problem,
    add_handlers,
    from_domain,
    problem_response,
)
from mlapi.http_metrics import HttpMetrics
from tests.support.http_server import assert_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a marked secret"


def test_every_kind_is_unique_and_listed() -> None:
    """If it fails, two problems share a type URI, or one is missing from the table."""
    defined = [value for value in vars(problems).values() if isinstance(value, Kind)]
    assert sorted(defined, key=lambda kind: kind.name) == sorted(KINDS, key=lambda kind: kind.name)
    assert len({kind.type for kind in KINDS}) == len({kind.title for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert kind.type == f"urn:mlapi:problem:{kind.name}"
        assert 400 <= kind.status < 600


def _leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for sub in below:
        yield from _leaves(sub)


def test_every_error_of_a_request_is_mapped() -> None:
    """If it fails, an expected condition is answered as a fault of the service."""
    at_start = {errors.ConfigurationError, *_leaves(errors.ModelError)}
    ours = {leaf for leaf in _leaves(errors.MlapiError) if leaf.__module__ == errors.__name__}
    assert ours - at_start == set(DOMAIN_KINDS)


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (errors.Overloaded("too many texts are waiting", retry_after=2.1), "3"),
        (errors.Starting("the model is still being loaded", retry_after=1.0), "1"),
        (errors.Draining("shutting down", retry_after=0.2), "1"),
    ],
)
def test_not_now_says_when(error: errors.Unavailable, retry_after: str) -> None:
    """If it fails, clients hammer a service that cannot answer, because nothing tells them to wait."""
    problem = from_domain(error)
    assert problem.kind.status == 503
    assert problem.headers == {"Retry-After": retry_after}
    assert problem.detail == f"{str(error)[0].upper()}{str(error)[1:]}."


def test_our_own_faults_say_nothing() -> None:
    """If it fails, the words of an exception, which may quote an input, reach the client."""
    problem = from_domain(errors.EngineError(SECRET))
    assert problem.kind is INTERNAL
    assert SECRET not in problem.detail
    assert from_domain(errors.DeadlineExceeded("no answer within 1 s")).kind is DEADLINE_EXCEEDED


def test_a_response_is_a_whole_problem() -> None:
    """If it fails, a problem's response lacks what RFC 9457 or our documentation promises."""
    problem = Problem(INVALID, "Detail.", errors=[{"loc": ["body"]}], headers={"Retry-After": "1"})
    response = problem_response(problem, request_id="id")
    assert (response.status_code, response.headers["retry-after"]) == (422, "1")
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": INVALID.type,
        "title": INVALID.title,
        "status": 422,
        "detail": "Detail.",
        "request_id": "id",
        "errors": [{"loc": ["body"]}],
    }
    assert b"errors" not in bytes(problem_response(Problem(OVERLOADED, "Detail."), request_id="id").body)


def _client(error: Exception) -> httpx.AsyncClient:
    """Return a client of an app with one route, which raises this error."""
    app = FastAPI()
    add_handlers(app, docs_path="/docs")
    metrics = HttpMetrics(CollectorRegistry(), buckets=[1])
    app.add_middleware(RequestContext, access_log=False, observer=metrics, handler_of=lambda _: "/")

    @app.get("/")
    async def fail() -> None:
        raise error

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize("error_type", DOMAIN_KINDS)
async def test_handlers_are_in_place(error_type: type[Exception]) -> None:
    """If it fails, an error of the core does not become the problem that the table says."""
    waits = issubclass(error_type, errors.Unavailable)
    error = error_type("reason", retry_after=1.0) if waits else error_type("reason")  # type: ignore[call-arg]
    async with _client(error) as client:
        assert_problem(await client.get("/"), DOMAIN_KINDS[error_type])


async def test_a_problem_is_answered_as_it_is() -> None:
    """If it fails, what the HTTP layer itself finds wrong is called something else."""
    async with _client(Problem(OVERLOADED, "Wait.")) as client:
        assert assert_problem(await client.get("/"), OVERLOADED)["detail"] == "Wait."


async def test_a_client_that_has_gone_is_no_fault() -> None:
    """If it fails, clients that break off count as errors of the service."""
    async with _client(ClientDisconnect()) as client:
        response = await client.get("/")
    assert (response.status_code, response.content) == (CLIENT_CLOSED_REQUEST, b"")


async def test_http_exceptions_of_libraries() -> None:
    """If it fails, an exception of the framework is answered in its own words."""
    async with _client(HTTPException(418, SECRET)) as client:
        response = await client.get("/")
        assert_problem(response, INTERNAL)
        assert SECRET not in response.text
        wrong_method = await client.post("/")
        assert_problem(wrong_method, METHOD_NOT_ALLOWED)
        assert wrong_method.headers["allow"] == "GET"
        unknown = assert_problem(await client.get("/nowhere"), NO_SUCH_ROUTE)
        assert unknown["detail"] == "The routes lie under / and are described at /docs."
