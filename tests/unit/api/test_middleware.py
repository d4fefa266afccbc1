from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from mlapi.api.middleware import BodyLimit, RequestContext
from mlapi.api.problems import BODY_TOO_LARGE, DRAINING, INTERNAL, Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECRET = "a marked secret"


def _scope(path: str = "/", *headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": list(headers)}


class Counted:
    """Keeps what it is told of requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int, str, int, int]] = []

    def request_done(
        self,
        method: str,
        status: int,
        handler: str,
        *,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        assert 0 <= seconds < 60
        self.requests.append((method, status, handler, request_bytes, response_bytes))


def _context(
    app: ASGIApp, *, access_log: bool = False, counted: Counted | None = None, handler: str | None = "/"
) -> RequestContext:
    return RequestContext(
        app, access_log=access_log, observer=counted or Counted(), handler_of=lambda _: handler
    )


async def _call(app: ASGIApp, scope: Scope, *body: bytes) -> list[Message]:
    """Run an application on a request whose body comes in these pieces, and return what it sends."""
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    messages: list[Message] = [*pieces, {"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError(SECRET)


async def _fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await _answers(scope, receive, send)
    raise LookupError(SECRET)


async def _reads(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await _answers(scope, receive, send)


async def test_what_is_no_request_passes() -> None:
    """If it fails, the service cannot start, because its lifespan is taken for a request."""
    passed = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    for middleware in (_context(app, access_log=True), BodyLimit(app, limits={}, default=1)):
        await _call(middleware, {"type": "lifespan"})
    assert passed == ["lifespan", "lifespan"]


async def test_the_request_id_is_passed_on_and_back() -> None:
    """If it fails, errors and answers carry different ids, or none."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["mlapi.request_id"])
        await _answers(scope, receive, send)

    start, _ = await _call(_context(app, access_log=False), _scope("/", (b"x-request-id", b"abc-1")))
    assert seen == ["abc-1"]
    assert (b"x-request-id", b"abc-1") in start["headers"]


async def test_an_answer_has_no_other_id() -> None:
    """If it fails, whoever quotes an id quotes one that no log line has."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"x-request-id", b"another"), (b"x-more", b"kept")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})

    start, *_ = await _call(_context(app), _scope("/", (b"x-request-id", b"abc-1")))
    assert start["headers"] == [(b"x-more", b"kept"), (b"x-request-id", b"abc-1")]


async def test_of_two_request_ids_the_first_counts() -> None:
    """If it fails, an id that a proxy did not see decides."""
    headers = ((b"x-request-id", b"not sane"), (b"x-request-id", b"sane"))
    start, _ = await _call(_context(_answers, access_log=False), _scope("/", *headers))
    assert dict(start["headers"])[b"x-request-id"] not in {b"sane", b"not sane"}


async def test_an_uncaught_exception_is_answered_and_logged_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If it fails, a bug closes the connection without an answer, or shows what should stay inside."""
    start, body = await _call(_context(_fails, access_log=False), _scope())
    problem = json.loads(body["body"])
    assert start["status"] == 500
    assert problem["type"] == INTERNAL.type
    assert problem["request_id"].encode() == dict(start["headers"])[b"x-request-id"]
    assert SECRET not in str(body)
    (record,) = caplog.records
    assert record.getMessage() == "request failed"
    assert record.__dict__["request_id"] == problem["request_id"]


async def test_a_failure_after_the_response_began(caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, a second response follows a first, or an exception's words reach a log."""
    with pytest.raises(RuntimeError, match="had begun") as caught:
        await _call(_context(_fails_late, access_log=False), _scope())
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_request_that_the_server_gives_up() -> None:
    """If it fails, requests that outlast the process are not told to try again."""
    started = asyncio.Event()

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(_call(_context(hangs, access_log=False), _scope()))
    await started.wait()
    request.cancel()
    start, body = await request
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"1"
    assert json.loads(body["body"])["type"] == DRAINING.type


async def test_a_request_that_is_given_up_while_it_answers() -> None:
    """If it fails, a second response is sent into the middle of a first."""
    started = asyncio.Event()

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await _answers(scope, receive, send)
        started.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(_call(_context(hangs, access_log=False), _scope()))
    await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_one_access_line_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, the access log lacks a request, or shows a path that may hold a client's words."""
    caplog.set_level(logging.INFO, "mlapi.api.middleware")

    class Route:
        path = "/template/{name}"

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route()
        await _answers(scope, receive, send)

    for app in (routed, _answers, _fails):
        await _call(_context(app, access_log=True), _scope(f"/{SECRET}"))
    lines = [record.__dict__ for record in caplog.records if record.getMessage() == "request"]
    assert [line["route"] for line in lines] == ["/template/{name}", "none", "none"]
    assert [line["status"] for line in lines] == [204, 204, 500]
    assert {line["method"] for line in lines} == {"POST"}
    assert all(line["seconds"] >= 0 for line in lines)
    assert not any(SECRET in str(line.get("msg")) + str(line.get("args")) for line in lines)


@pytest.mark.parametrize(("path", "limit"), [("/known", 10), ("/other", 4)])
async def test_bodies_up_to_the_limit_pass(path: str, limit: int) -> None:
    """If it fails, the largest allowed body is refused, or one path's limit is applied to another."""
    app = BodyLimit(_reads, limits={"/known": 10}, default=4)
    announced = (b"content-length", str(limit).encode())
    start, _ = await _call(app, _scope(path, announced), b"a" * (limit - 1), b"a")
    assert start["status"] == 204
    with pytest.raises(Problem) as caught:
        await _call(app, _scope(path), b"a" * limit, b"a")
    assert caught.value.kind is BODY_TOO_LARGE
    assert str(limit) in caught.value.detail


async def test_an_announced_body_is_refused_unread() -> None:
    """If it fails, a body is read although its announced size is too large."""

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is to be sent here")

    app = BodyLimit(_reads, limits={}, default=4)
    with pytest.raises(Problem):
        await app(_scope("/", (b"content-length", b"5")), receive, send)


@pytest.mark.parametrize("length", [b"", b"x", b"-1", b"\xb2"])
async def test_a_malformed_length_is_not_believed(length: bytes) -> None:
    """If it fails, a malformed Content-Length crashes the middleware."""
    app = BodyLimit(_reads, limits={}, default=4)
    start, _ = await _call(app, _scope("/", (b"accept", b"*/*"), (b"content-length", length)), b"abcd")
    assert start["status"] == 204


async def test_a_body_that_nobody_reads_is_not_refused() -> None:
    """If it fails, an unknown route answers 413 instead of 404."""
    app = BodyLimit(_answers, limits={}, default=4)
    start, _ = await _call(app, _scope("/", (b"content-length", b"999")))
    assert start["status"] == 204


async def _writes(scope: Scope, receive: Receive, send: Send) -> None:
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]}
    await send(head)
    await send({"type": "http.response.body", "body": b"written"})


async def test_requests_are_counted() -> None:
    """If it fails, rates, errors or sizes on the dashboards are wrong, or a failed request is not seen."""
    counted = Counted()
    await _call(_context(_writes, counted=counted), _scope("/", (b"content-length", b"12")))
    await _call(_context(_fails, counted=counted), _scope())
    with pytest.raises(RuntimeError):
        await _call(_context(_fails_late, counted=counted), _scope())
    (answered, failed, late) = counted.requests
    assert answered == ("POST", 200, "/", 12, 7)
    assert failed[:3] == ("POST", 500, "/")
    assert late[:3] == ("POST", 204, "/")


async def test_what_has_no_handler_is_not_counted() -> None:
    """If it fails, every scrape of the metrics counts as a request of the service."""
    counted = Counted()
    await _call(_context(_writes, counted=counted, handler=None), _scope())
    assert counted.requests == []
