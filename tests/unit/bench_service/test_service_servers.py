"""The servers that `bench.service` starts: real processes on real ports."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.load.usage import processes
from bench.service import bulk
from bench.service.cached import constant_route
from bench.service.engine import make_engine, make_tokenizer, token_ids
from bench.service.gemm import Gemm, make_gemm
from bench.service.process import Helper
from bench.service.redis_server import Redis
from bench.service.servers import Server, StartError, mlapi, module

MODEL = Path("models/starter").absolute()
TEXTS = ["A warm, funny film.", "Dull."]


def _post(port: int, body: object) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/project/predict", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_constant_route_checks_and_answers_as_the_service_does() -> None:
    """If this fails, the service is compared with a route that does less, or speaks another schema."""
    with constant_route() as constant, mlapi(MODEL, threads=1) as service:
        (status, answer), (expected_status, expected) = (
            _post(server.port, {"text": TEXTS[0]}) for server in (constant, service)
        )
        assert status == expected_status == http.client.OK
        assert [set(entry) for entry in answer["prediction"]] == [
            set(entry) for entry in expected["prediction"]
        ]
        for wrong in ({"text": 7}, {"text": [7]}, {"text": "a", "more": 1}, {"text": "x" * 20_001}, {}):
            for server in (constant, service):
                assert _post(server.port, wrong)[0] == http.client.UNPROCESSABLE_ENTITY, (server.name, wrong)
        pids = [constant.pid, service.pid]
    assert all(_gone(pid) for pid in pids)


def test_the_service_with_the_null_engine_is_the_service() -> None:
    """If this fails, the overhead is measured on something that does not answer as the service does."""
    with module("bench.service.null_engine", "--model", str(MODEL), ready="/project/health") as server:
        status, answer = _post(server.port, {"text": TEXTS})
        assert status == http.client.OK
        assert [[entry["score"] for entry in one] for one in answer["predictions"]] == [[0.5, 0.5]] * 2
        assert server.pid in processes(server.pid)


def test_all_workers_are_ready_when_the_block_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a worker that still loads refuses requests, or a stray setting of the caller counts."""
    monkeypatch.setenv("MLAPI_PREFIX", "/elsewhere")
    with mlapi(MODEL, workers=2, threads=1) as server:
        assert len(processes(server.pid)) == 3
        assert {_post(server.port, {"text": text})[0] for text in map(str, range(20))} == {http.client.OK}


def test_a_server_that_ends_says_why() -> None:
    """If this fails, a measurement waits for minutes for a server that is gone, and shows no reason."""
    server = Server("broken", lambda _: [sys.executable, "-c", "raise SystemExit('no luck')"], ready="/")
    with pytest.raises(StartError, match="broken did not start: no luck"), server:
        pass


def test_bulk_requests_count_only_when_all_was_computed() -> None:
    """If this fails, a bulk request answered from the cache is taken for a fast engine."""
    with mlapi(MODEL, threads=1) as server:
        assert bulk.ask(server, TEXTS) > 0
        with pytest.raises(RuntimeError, match="not all of 2 texts were computed"):
            bulk.ask(server, TEXTS)


def test_redis_is_empty_and_drops_what_was_used_longest_ago() -> None:
    """If this fails, the cache is measured against a Redis that is set up otherwise than the page says."""
    with Redis() as redis:
        with closing(socket.create_connection(("127.0.0.1", redis.port), timeout=5)) as connection:
            connection.sendall(b"DBSIZE\r\nCONFIG GET maxmemory-policy\r\n")
            said = b""
            while b"allkeys-lru" not in said:
                said += connection.recv(4096) or pytest.fail(f"Redis said {said!r}")
        assert said.startswith(b":0\r\n")
        pid = redis.pid
    assert _gone(pid)


def test_engine_and_tokeniser_work_in_processes_of_their_own() -> None:
    """If this fails, what the service is compared with does not run, or its time is not its own."""
    rows = token_ids(MODEL, TEXTS)
    assert [len(row) for row in rows] == sorted((len(row) for row in rows), reverse=True)
    with Helper(make_engine, MODEL, 1) as engine, Helper(make_tokenizer, MODEL) as tokenizer:
        assert engine.ask([rows]) > 0
        assert tokenizer.ask(TEXTS * 500) > 0


def test_the_ceiling_is_one_of_integers() -> None:
    """If this fails, shares are told of a ceiling that was measured in floating point."""
    assert make_gemm(1)(Gemm(64, 64, 64)) > 0
    assert Gemm(2, 3, 5).operations == 60
