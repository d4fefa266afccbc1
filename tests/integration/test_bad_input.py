"""Everything that clients get wrong, by accident or on purpose: each is named, and the service goes on.

The service runs as a process of its own, so that its whole log can be searched for what must not be there.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlapi.api.problems import (
    BODY_TOO_LARGE,
    INVALID,
    METHOD_NOT_ALLOWED,
    NO_SUCH_ROUTE,
    NOT_JSON,
    NOT_UTF8,
    TOO_MANY_TEXTS,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
)
from tests.support.fakes import PATIENCE_S
from tests.support.http_server import (
    HOST,
    ServerProcess,
    assert_problem,
    make_client,
    raw_exchange,
    samples,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARKER = "zanzibar"
"""Planted wherever a client's words could leak from."""

MEGABYTE = 1024 * 1024
ANSWERED_WITHIN_S = 5.0
"""Generous: what is tested takes milliseconds, and would take minutes if it went wrong."""


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[ServerProcess]:
    """A running service that logs all it can; afterwards, its log is searched."""
    environment = {"MLAPI_LOG_LEVEL": "debug", "MLAPI_ACCESS_LOG": "true"}
    with ServerProcess(tiny_model, environment=environment) as running:
        yield running
        assert running.stop() == 0
        events = running.events()
        log = running.log
    assert MARKER not in log
    # uvicorn warns of what is not HTTP; that a client made a mistake is worth no more.
    above = {event["logger"] for event in events if event["level"] not in {"debug", "info"}}
    assert above <= {"uvicorn.error"}
    assert any(event["message"] == "request" for event in events)


@pytest.fixture
def server(service: ServerProcess) -> Iterator[ServerProcess]:
    """The running service, which must answer a good request after whatever the test did to it."""
    yield service
    good = service.client.post("/predict", json={"text": "a good film"})
    assert good.status_code == 200
    assert good.json()["prediction"][0]["label"] == "POSITIVE"


@dataclass(frozen=True)
class Bad:
    """A bad request and its answer.

    Attributes:
        body: What is sent.
        kind: What it must be called.
        says: What the detail must name.
        loc: Where the first of the errors must be.
        route: Where it is sent to.
        headers: With which headers.
    """

    body: bytes
    kind: Kind
    says: str = ""
    loc: tuple[str | int, ...] | None = None
    route: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=dict)


def _text(value: str) -> bytes:
    return b'{"text": %s}' % value.encode()


STRING = "should be a valid string"
BULK = "/bulk-predict"
MALFORMED = {
    "empty body": Bad(b"", NOT_JSON, "line 1, column 1"),
    "only spaces": Bad(b"   ", NOT_JSON),
    "words": Bad(MARKER.encode(), NOT_JSON, "line 1, column 1"),
    "cut off": Bad(f'{{"text": "{MARKER}'.encode(), NOT_JSON),
    "single quotes": Bad(f"{{'text': '{MARKER}'}}".encode(), NOT_JSON),
    "trailing comma": Bad(_text(f'"{MARKER}",'), NOT_JSON),
    "trailing words": Bad(_text(f'"a"}} {MARKER} {{'), NOT_JSON),
    "two documents": Bad(_text('"a"') * 2, NOT_JSON),
    "second line": Bad(b'{\n"text": nope}', NOT_JSON, "line 2, column 9"),
    "line break in a string": Bad(_text(f'"{MARKER}\n"'), NOT_JSON),
    "NUL in a string": Bad(_text(f'"{MARKER}\x00"'), NOT_JSON),
    "unknown escape": Bad(_text(rf'"\z{MARKER}"'), NOT_JSON),
    "half an escape": Bad(_text(rf'"\u12 {MARKER}"'), NOT_JSON),
    "byte order mark": Bad(b"\xef\xbb\xbf" + _text('"a"'), NOT_JSON, "BOM"),
    "UTF-16": Bad(_text('"a"').decode().encode("utf-16"), NOT_UTF8, "byte 0"),
    "UTF-16 without mark": Bad(_text('"a"').decode().encode("utf-16-le"), NOT_JSON),
    "Latin-1": Bad(_text(f'"{MARKER} zo\u00eb"').decode().encode("latin-1"), NOT_UTF8, "byte 21"),
    "a surrogate in UTF-8": Bad(b'{"text": "\xed\xa0\x80"}', NOT_UTF8),
    "an overlong code": Bad(b'{"text": "\xc0\xaf"}', NOT_UTF8),
    "deep lists": Bad(b"[" * 100_000, NOT_JSON, "nested"),
    "deep lists as the text": Bad(_text("[" * 50_000 + "]" * 50_000), NOT_JSON, "nested"),
    "deep objects": Bad(b'{"text":' * 100_000, NOT_JSON, "nested"),
    "nested beyond one parser but not the other": Bad(_text("[" * 300 + "]" * 300), INVALID, STRING),
    "a number of a million digits": Bad(_text("1" * 1_000_000), NOT_JSON, "number"),
    "a fraction of a million digits": Bad(_text("0." + "1" * 1_000_000), INVALID, STRING),
}
MISFITS = {
    "a list": Bad(b'["a"]', INVALID, "object", ("body",)),
    "a string": Bad(f'"{MARKER}"'.encode(), INVALID, "object", ("body",)),
    "null": Bad(b"null", INVALID, "object", ("body",)),
    "no text": Bad(b"{}", INVALID, "text: Field required", ("body", "text")),
    "a misspelt field": Bad(f'{{"txt": "{MARKER}"}}'.encode(), INVALID, "text: Field required"),
    "a field too many": Bad(
        f'{{"text": "a", "lang": "{MARKER}"}}'.encode(), INVALID, "lang", ("body", "lang")
    ),
    "a field that could be a text": Bad(
        f'{{"text": "a", "{MARKER} was a lovely trip": 1}}'.encode(), INVALID, "name"
    ),
    "number": Bad(_text("1"), INVALID, STRING, ("body", "text")),
    "null text": Bad(_text("null"), INVALID, STRING, ("body", "text")),
    "true": Bad(_text("true"), INVALID, STRING, ("body", "text")),
    "object": Bad(_text(f'{{"{MARKER}": "{MARKER}"}}'), INVALID, STRING, ("body", "text")),
    "NaN": Bad(_text("NaN"), INVALID, STRING, ("body", "text")),
    "infinity": Bad(_text("-Infinity"), INVALID, STRING, ("body", "text")),
    "list with a number": Bad(_text('["a", 1, "b"]'), INVALID, "text.1", ("body", "text", 1)),
    "list with null": Bad(_text(f'["{MARKER}", null]'), INVALID, "text.1", ("body", "text", 1)),
    "nested list": Bad(_text('["a", "b", ["c"]]'), INVALID, "text.2", ("body", "text", 2)),
    "several errors": Bad(_text("[1, 2, 3]"), INVALID, "Errors in all: 3", ("body", "text", 0)),
    "bulk with one text": Bad(_text('"a"'), INVALID, "valid array", ("body", "text"), BULK),
    "bulk stops at the first": Bad(_text('["a", 1, 2]'), INVALID, "text.1", ("body", "text", 1), BULK),
    "lone surrogate": Bad(_text(rf'"{MARKER} \ud800"'), INVALID, "surrogate", ("body", "text")),
    "lone low surrogate": Bad(_text(r'"\udc00 a"'), INVALID, "surrogate", ("body", "text")),
    "surrogates the wrong way": Bad(_text(r'"\udc00\ud800"'), INVALID, "surrogate", ("body", "text")),
    "a lone surrogate in a list": Bad(
        _text(rf'["a", "b", "{MARKER} \ud83d"]'), INVALID, "text.2", ("body", "text", 2)
    ),
    "a lone surrogate in bulk": Bad(
        _text(rf'["a", "{MARKER} \ud83d"]'), INVALID, "text.1", ("body", "text", 1), BULK
    ),
    "a lone surrogate in a key": Bad(rf'{{"text": "a", "{MARKER}\ud800": 1}}'.encode(), INVALID),
    "too long": Bad(_text(f'"{MARKER * 2_501}"'), INVALID, "at most 20000 characters", ("body", "text")),
    "too long in a list": Bad(
        _text(f'["a", "b", "{MARKER * 2_501}"]'), INVALID, "text.2", ("body", "text", 2)
    ),
}
TOO_MUCH = {
    "257 texts": Bad(json.dumps({"text": [MARKER] * 257}).encode(), TOO_MANY_TEXTS, "256"),
    "2,000 texts": Bad(json.dumps({"text": [MARKER] * 2_000}).encode(), TOO_MANY_TEXTS, "256"),
    "10,001 texts": Bad(
        json.dumps({"text": [MARKER] * 10_001}).encode(), TOO_MANY_TEXTS, "10000", None, BULK
    ),
    "10,001 empty texts": Bad(json.dumps({"text": [""] * 10_001}).encode(), TOO_MANY_TEXTS, "", None, BULK),
    "a megabyte and more": Bad(_text(f'"{"a" * MEGABYTE}"'), BODY_TOO_LARGE, str(MEGABYTE)),
    "four megabytes and more": Bad(
        _text(f'"{"a" * 4 * MEGABYTE}"'), BODY_TOO_LARGE, str(4 * MEGABYTE), None, BULK
    ),
}
DENSE = {
    "numbers": Bad(b'{"text":[' + b"0," * 2_000_000 + b"0]}", TOO_MANY_TEXTS),
    "lists": Bad(b'{"text":[' + b"[]," * 1_333_333 + b"[]]}", TOO_MANY_TEXTS),
    "lists in lists": Bad(b'{"text":[' + b"[[],[]]," * 500_000 + b"[]]}", TOO_MANY_TEXTS),
    "objects": Bad(b'{"text":[' + b"{}," * 1_333_333 + b"{}]}", TOO_MANY_TEXTS),
    "empty texts": Bad(b'{"text":[' + b'"",' * 1_333_333 + b'""]}', TOO_MANY_TEXTS),
    "one field": Bad(b"{" + b'"a":1,' * 666_666 + b'"a":1}', INVALID, "fields"),
    "many fields": Bad(
        b"{" + b",".join(b'"%d":1' % number for number in range(300_000)) + b"}", INVALID, "fields"
    ),
    "commas alone": Bad(b"," * 4_000_000, TOO_MANY_TEXTS),
    "quotes": Bad(b'"' * 4_000_000, NOT_JSON),
    "escaped quotes": Bad(_text('["' + '\\"' * 2_000_000 + '"]'), INVALID, "characters"),
    "escaped quotes and commas": Bad(_text('["' + '\\",' * 1_333_333 + '"]'), INVALID, "characters"),
    "backslashes": Bad(_text('["' + "\\\\" * 2_000_000 + '"]'), INVALID, "characters"),
    "brackets": Bad(b"[" * 4_000_000, NOT_JSON),
    "pairs of brackets": Bad(b"[]" * 2_000_000, NOT_JSON),
    "an open string": Bad(b'{"text": "' + b"," * 4_000_000, NOT_JSON),
}
MEDIA = {
    "form": Bad(
        b"text=" + MARKER.encode(),
        UNSUPPORTED_MEDIA_TYPE,
        "application/json",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "text": Bad(_text('"a"'), UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": "text/plain"}),
    "wildcard": Bad(_text('"a"'), UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": "*/*"}),
    "nonsense": Bad(_text('"a"'), UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": MARKER}),
    "multipart": Bad(
        b"--x--", UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": f"multipart/form-data; boundary={MARKER}"}
    ),
    "Latin-1": Bad(
        _text('"a"'), UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": "application/json; charset=latin-1"}
    ),
    "UTF-16": Bad(
        _text('"a"'), UNSUPPORTED_MEDIA_TYPE, headers={"Content-Type": "application/json; charset=utf-16"}
    ),
    "gzip": Bad(
        gzip.compress(_text('"a"')),
        UNSUPPORTED_ENCODING,
        "uncompressed",
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ),
    "unknown coding": Bad(
        _text('"a"'), UNSUPPORTED_ENCODING, headers={"Content-Encoding": f"identity, {MARKER}"}
    ),
}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(bad, id=f"{group}: {name}")
        for group, table in {
            "malformed": MALFORMED,
            "misfit": MISFITS,
            "too much": TOO_MUCH,
            "media": MEDIA,
        }.items()
        for name, bad in table.items()
    ],
)
def test_a_bad_body_is_named(server: ServerProcess, bad: Bad) -> None:
    """If it fails, a client is told the wrong thing about its mistake, or told its own words."""
    response = server.client.post(bad.route, content=bad.body, headers=dict(bad.headers))
    body = assert_problem(response, bad.kind)
    assert bad.says in body["detail"]
    assert MARKER not in response.text
    assert ("errors" in body) == (bad.kind is INVALID and bad.says != "fields")
    if bad.loc is not None:
        assert body["errors"][0]["loc"] == list(bad.loc)
    for error in body.get("errors", []):
        assert set(error) == {"loc", "msg", "type"}
    if bad.kind is UNSUPPORTED_ENCODING:
        assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", DENSE)
def test_megabytes_of_tiny_values_hold_nobody_up(server: ServerProcess, name: str) -> None:
    """If it fails, one request of four megabytes makes the process look dead."""
    bad = DENSE[name]
    with ThreadPoolExecutor() as pool, make_client(str(server.client.base_url)) as other:
        started = time.monotonic()
        posted = pool.submit(server.client.post, BULK, content=bad.body)
        slowest = 0.0
        while not posted.done():
            asked = time.monotonic()
            assert other.get("/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - asked)
        body = assert_problem(posted.result(), bad.kind)
        assert bad.says in body["detail"]
        assert time.monotonic() - started < ANSWERED_WITHIN_S
        assert slowest < ANSWERED_WITHIN_S / 2


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(_text(r'"a\u0000b"'), id="escaped NUL"),
        pytest.param(_text(r'"\ud83d\ude00"'), id="escaped pair of surrogates"),
        pytest.param(_text('""'), id="empty"),
        pytest.param(_text('" \\n\\t "'), id="blank"),
        pytest.param(b'{"text": 1, "text": "a"}', id="the last of two keys"),
        pytest.param(b'\r\n\t {"text" : "a" } \n', id="white space"),
        pytest.param(rb'{"\u0074ext": "a"}', id="escaped key"),
        pytest.param(_text(f'"{"a" * 20_000}"'), id="as long as allowed"),
        pytest.param(_text(f'["{"🙂" * 20_000}"]'), id="characters, not bytes"),
        pytest.param(json.dumps({"text": ["a"] * 256}).encode(), id="as many as allowed"),
        pytest.param(json.dumps({"text": "," * 15_000 + '"' * 2_000}).encode(), id="commas and quotes"),
    ],
)
def test_odd_but_good_bodies_are_answered(server: ServerProcess, body: bytes) -> None:
    """If it fails, a guard against bad requests refuses good ones."""
    response = server.client.post("/predict", content=body)
    assert response.status_code == 200, response.text


def test_an_empty_content_type_is_none_at_all(server: ServerProcess) -> None:
    """If it fails, clients that send the header without a value are refused."""
    response = server.client.post("/predict", content=b'{"text":"a"}', headers={"Content-Type": ""})
    assert response.status_code == 200, response.text


def test_as_many_texts_as_bulk_takes(server: ServerProcess) -> None:
    """If it fails, the largest documented request is refused."""
    texts = [f"{number}, a film" for number in range(10_000)]
    response = server.client.post(BULK, json={"text": texts})
    assert response.status_code == 200
    assert len(response.json()["predictions"]) == 10_000


# Bodies that are not read to the end.


def test_a_large_body_is_refused_before_it_is_read(server: ServerProcess) -> None:
    """If it fails, the service reads megabytes only to throw them away."""
    request = (
        f"POST /project/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {50 * MEGABYTE}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    answer = _first_bytes(server, request)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body-too-large" in answer


@pytest.mark.parametrize("path", ["/project/predict", "/project/bulk-predict", "/project/health", "/nowhere"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_needs_no_memory(server: ServerProcess, path: str, chunked: bool) -> None:
    """If it fails, a few clients with large bodies exhaust the memory of the process."""
    peak = Path(f"/proc/{server.pid}/status")
    if not peak.exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    server.client.get("/health")
    before = _peak_kilobytes(peak)
    content = iter([b"a" * MEGABYTE] * 50) if chunked else b"a" * 50 * MEGABYTE
    response = server.client.post(f"{server.root}{path}", content=content)
    expected = {"/project/health": METHOD_NOT_ALLOWED, "/nowhere": NO_SUCH_ROUTE}.get(path, BODY_TOO_LARGE)
    assert_problem(response, expected)
    assert _peak_kilobytes(peak) - before < 25 * 1024


def test_a_client_that_leaves_in_the_middle_is_no_fault(server: ServerProcess) -> None:
    """If it fails, clients that break off look like errors of the service, in its log and its metrics."""
    gone = 'http_requests_total{handler="/project/predict",method="POST",status="499"}'
    before = _metrics(server).get(gone, 0)
    with socket.create_connection((HOST, _port(server)), timeout=PATIENCE_S) as connection:
        connection.sendall(
            b'POST /project/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{"text": "'
            + MARKER.encode()
        )
    wait_until(lambda: _metrics(server).get(gone, 0) == before + 1)
    assert not any('status="500"' in name for name in _metrics(server))


def test_a_slow_client_holds_nobody_up(server: ServerProcess) -> None:
    """If it fails, one client on a bad line blocks all others, or is cut off."""
    body = _text('"a slow film"')
    head = "POST /project/predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((HOST, _port(server)), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode() + body[:5])
        for _ in range(5):
            assert server.client.post("/predict", json={"text": "a fast film"}).status_code == 200
        for byte in body[5:]:
            connection.sendall(bytes([byte]))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_to_be_asked_for_its_body(server: ServerProcess) -> None:
    """If it fails, clients that send Expect: 100-continue hang, or send a body refused anyway."""
    body = _text('"a patient film"')
    head = "POST /project/predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
    with socket.create_connection((HOST, _port(server)), timeout=PATIENCE_S) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    refused = _first_bytes(server, f"{head}Content-Length: {50 * MEGABYTE}\r\n\r\n".encode())
    assert refused.startswith(b"HTTP/1.1 413 ")


# Routes, methods and broken HTTP.


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/{MARKER}",
        f"/project/{MARKER}?{MARKER}={MARKER}",
        "/project",
        "/project/",
        "/project/predict/",
        "/project//predict",
        "/project/predict/more",
        "/PROJECT/predict",
        "/predict",
        "/project/metrics",
        "/metrics/",
        "/project/%2e%2e/metrics",
        f"/{MARKER * 2_000}",
        "/project/docs/static",
        "/%00%ff%0d%0a",
    ],
)
def test_an_unknown_route(server: ServerProcess, path: str) -> None:
    """If it fails, a mistyped path reaches the wrong route, or nobody says where the right ones are."""
    for method in ("GET", "POST"):
        response = server.client.request(method, f"{server.root}{path}")
        body = assert_problem(response, NO_SUCH_ROUTE)
        assert "/project/docs" in body["detail"]
        assert MARKER not in response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
@pytest.mark.parametrize("route", ["/predict", "/bulk-predict"])
def test_a_wrong_method(server: ServerProcess, method: str, route: str) -> None:
    """If it fails, a client does not learn which method to use."""
    response = server.client.request(method, route, content=MARKER)
    assert response.headers["allow"] == "POST"
    if method == "HEAD":
        assert (response.status_code, response.content) == (405, b"")
    else:
        body = assert_problem(response, METHOD_NOT_ALLOWED)
        assert "POST" in body["detail"]


def test_a_wrong_method_for_a_page(server: ServerProcess) -> None:
    """If it fails, posting to a page is a fault, or the answer names no method."""
    for path in ("/health", "/health/live", "/docs", "/openapi.json", "/docs/static/swagger-ui.css"):
        response = server.client.post(path, json={"text": MARKER})
        assert_problem(response, METHOD_NOT_ALLOWED)
        assert "GET" in response.headers["allow"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"zanzibar zanzibar\r\n\r\n",
        b"BREW /project/predict HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[zanzibar HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /project/predict HTTP/1.1\r\nHost: x\r\nContent-Length: zanzibar\r\n\r\n",
        b"POST /project/predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /project/predict HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /project/predict HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /project/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzanzibar\r\n",
    ],
)
def test_what_is_not_http(service: ServerProcess, request_bytes: bytes) -> None:
    """If it fails, a port scanner or a broken proxy harms the service."""
    answer = raw_exchange(_port(service), request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert MARKER.encode() not in answer
    assert service.client.get("/health").status_code == 200


@pytest.mark.parametrize("host", [b"[", b"[zanzibar", b"a b", b"\xff", b"x:y:z", b""])
def test_a_broken_host(server: ServerProcess, host: bytes) -> None:
    """If it fails, a broken Host header is a fault of the service."""
    for path, status in ((b"/project/health", b"200"), (b"/nowhere", b"404")):
        request = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path, host)
        assert raw_exchange(_port(server), request).startswith(b"HTTP/1.1 " + status)


def _port(server: ServerProcess) -> int:
    port = server.client.base_url.port
    assert port is not None
    return port


def _first_bytes(server: ServerProcess, request: bytes) -> bytes:
    """Send a request that goes no further, and return the whole answer."""
    with socket.create_connection((HOST, _port(server)), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        answer = b""
        while b"}" not in answer:
            received = connection.recv(65_536)
            assert received, "the connection was closed without an answer"
            answer += received
        return answer


def _metrics(server: ServerProcess) -> dict[str, float]:
    return samples(server.client.get(f"{server.root}/metrics").text)


def _peak_kilobytes(status: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
    assert found is not None
    return int(found[1])
