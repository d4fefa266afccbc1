"""Metrics on a port of their own, and what they say of a cache that nobody uses."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.http_server import HOST, ServerProcess, is_healthy, make_client, samples, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

OWN_PORT = {"MLAPI_METRICS_PORT": "0", "MLAPI_LOG_FORMAT": "text"}
UP = "mlapi_cache_up"
LONG_S = 60.0
"""Several times the five seconds between two looks at Redis."""


def _own_address(server: ServerProcess) -> str:
    """Return where the metrics are, once the service has said so."""
    pattern = re.compile(r"metrics on (http://\S+)/metrics")
    wait_until(lambda: bool(pattern.search(server.log)) or server.ended, timeout=LONG_S)
    found = pattern.search(server.log)
    assert found, server.log
    return found[1]


def _scrape(address: str) -> dict[str, float]:
    with make_client(address) as client:
        answer = client.get("/metrics")
        assert answer.status_code == httpx.codes.OK
        return samples(answer.text)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_have_left_the_main_port(tiny_model: Path, workers: str) -> None:
    """If it fails, a gateway in front of the main port shows the metrics to everyone, or nobody gets them."""
    with ServerProcess(tiny_model, "--workers", workers, environment=OWN_PORT) as server:
        wait_until(lambda: server.log.count("ready: model") == int(workers))
        for number in range(20):
            assert (
                server.client.post("/predict", json={"text": f"text {number}"}).status_code == httpx.codes.OK
            )
        with make_client(server.root) as client:
            assert client.get("/metrics").status_code == httpx.codes.NOT_FOUND
        address = _own_address(server)
        wait_until(lambda: _scrape(address).get('mlapi_texts_total{source="engine"}') == 20)
        answered = 'http_requests_total{handler="/project/predict",method="POST",status="200"}'
        assert _scrape(address)[answered] == 20
        assert server.stop() == 0
        assert "Traceback" not in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_answer_from_start_to_end(tiny_model: Path, workers: str) -> None:
    """If it fails, Prometheus calls a pod that starts or drains a pod that is down."""
    environment = {**OWN_PORT, "MLAPI_DRAIN_GRACE_S": "2"}
    with ServerProcess(tiny_model, "--workers", workers, environment=environment, wait=False) as server:
        address = _own_address(server)
        _scrape(address)
        wait_until(lambda: is_healthy(server.client), timeout=LONG_S)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM: draining" in server.log)
        assert server.client.get("/health").json()["status"] == "draining"
        assert any(name.startswith("mlapi_model{") for name in _scrape(address))
        assert server.wait() == 0
        with make_client(address) as client, pytest.raises(httpx.ConnectError):
            client.get("/metrics")


def test_slow_scrapers_do_not_disturb_requests(tiny_model: Path) -> None:
    """If it fails, a scraper that hangs takes the service with it, or holds up its end."""
    with ServerProcess(tiny_model, environment=OWN_PORT) as server:
        host, port = _own_address(server).removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(50)]
        try:
            for connection in slow[::2]:
                connection.sendall(b"GET /metrics HTTP/1.1\r\n")
            for number in range(20):
                assert (
                    server.client.post("/predict", json={"text": f"{number}"}).status_code == httpx.codes.OK
                )
            assert server.stop() == 0
        finally:
            for connection in slow:
                connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_part_of_the_metrics(tiny_model: Path, workers: str) -> None:
    """If it fails, a scrape that asks for some metrics alone gets an error, or all of them."""
    with ServerProcess(tiny_model, "--workers", workers, environment=OWN_PORT) as server:
        wait_until(lambda: server.log.count("ready: model") == int(workers))
        with make_client(_own_address(server)) as client:
            one = client.get("/metrics?name[]=mlapi_engine_threads")
            none = client.get("/metrics?name[]=nothing")
        assert (one.status_code, list(samples(one.text))) == (httpx.codes.OK, ["mlapi_engine_threads"])
        assert (none.status_code, none.text) == (httpx.codes.OK, "")
        assert "Traceback" not in server.log


def test_a_port_that_a_flag_replaced_is_free_for_metrics(tiny_model: Path) -> None:
    """If it fails, workers read the port that the flag has replaced, end for it, and are started for ever."""
    with socket.create_server((HOST, 0)) as reserved:
        port = str(reserved.getsockname()[1])
    environment = {**OWN_PORT, "MLAPI_PORT": port, "MLAPI_METRICS_PORT": port}
    with ServerProcess(tiny_model, "--workers", "2", environment=environment) as server:
        wait_until(lambda: server.log.count("ready: model") == 2)
        assert server.stop() == 0
        assert "starting another" not in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_said(tiny_model: Path, workers: str) -> None:
    """If it fails, a service runs that nobody can watch, or ends without saying which port it wanted."""
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {**OWN_PORT, "MLAPI_METRICS_PORT": port}
        with ServerProcess(tiny_model, "--workers", workers, environment=environment, wait=False) as server:
            assert server.wait() == 1
            assert f"cannot listen on {HOST}:{port}" in server.log
            assert "MLAPI_METRICS_PORT" in server.log
            assert "Traceback" not in server.log


def test_the_state_of_redis_without_traffic(tiny_model: Path, redis_server: RedisServer) -> None:
    """If it fails, neither an alert nor a health page sees that an idle pod has lost its cache."""
    redis_server.stop()
    environment = {**OWN_PORT, "REDIS_URL": redis_server.url}
    with ServerProcess(tiny_model, environment=environment) as server:
        address = _own_address(server)

        def known(up: float, status: str) -> bool:
            health = server.client.get("/health")
            assert health.status_code == httpx.codes.OK
            return _scrape(address).get(UP) == up and health.json()["cache"] == status

        wait_until(lambda: known(0, "down"), timeout=LONG_S)
        redis_server.start()
        wait_until(lambda: known(1, "ok"), timeout=LONG_S)
        redis_server.freeze()
        wait_until(lambda: known(0, "down"), timeout=LONG_S)
        assert server.stop() == 0
        lines = [line for line in server.log.splitlines() if "Redis at" in line]
        assert [line.split()[1] for line in lines] == ["WARNING", "INFO", "WARNING"]


def test_without_redis_there_is_no_such_metric(tiny_model: Path) -> None:
    """If it fails, an alert on Redis comes, or stays away, where there is no Redis."""
    with ServerProcess(tiny_model, environment=OWN_PORT) as server:
        assert UP not in _scrape(_own_address(server))
        assert server.client.get("/health").json()["cache"] == "ok"


def test_the_worst_of_several_workers_counts(tiny_model: Path, redis_server: RedisServer) -> None:
    """If it fails, a worker that lost Redis hides behind one that has not, or counts after its death."""
    environment = {**OWN_PORT, "REDIS_URL": redis_server.url}
    with ServerProcess(tiny_model, "--workers", "2", environment=environment) as server:
        address = _own_address(server)
        wait_until(lambda: server.log.count("ready: model") == 2, timeout=LONG_S)
        wait_until(lambda: _scrape(address).get(UP) == 1, timeout=LONG_S)
        redis_server.stop()
        wait_until(lambda: _scrape(address).get(UP) == 0, timeout=LONG_S)
        wait_until(lambda: server.log.count("does not answer") == 2, timeout=LONG_S)
        stuck, _ = (int(pid) for pid in re.findall(r"worker (\d+) started", server.log))
        os.kill(stuck, signal.SIGSTOP)
        redis_server.start()
        wait_until(lambda: "answers again" in server.log, timeout=LONG_S)
        assert _scrape(address)[UP] == 0
        os.kill(stuck, signal.SIGKILL)
        wait_until(lambda: _scrape(address).get(UP) == 1, timeout=LONG_S)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("setting", ["MLAPI_REDIS_PASSWORD_FILE", "MLAPI_REDIS_CA_FILE"])
def test_files_that_are_missing_end_the_start(tiny_model: Path, workers: str, setting: str) -> None:
    """If it fails, a missing Secret shows as a cache that is down, or workers are started again for ever."""
    environment = {"REDIS_URL": "rediss://cache.invalid", setting: "/missing/file"}
    with ServerProcess(tiny_model, "--workers", workers, environment=environment, wait=False) as server:
        assert server.wait() == 1
        assert setting in server.log
        assert "worker" not in server.log
