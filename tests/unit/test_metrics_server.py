"""The listener of metrics, with a real socket."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.registry import Collector

from mlapi import metrics_server
from mlapi.metrics_server import serving_metrics
from mlapi.server import bind
from tests.support.http_server import make_client, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

HOST = "127.0.0.1"


class Broken(Collector):
    """Metrics that cannot be collected."""

    def collect(self) -> Iterator[Metric]:
        raise ValueError("secret text")


@pytest.fixture
def registry() -> CollectorRegistry:
    """One gauge."""
    made = CollectorRegistry()
    Gauge("answer", "Of everything.", registry=made).set(42)
    return made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens."""
    with bind(HOST, 0) as opened:
        yield opened


def _client(listener: socket.socket) -> httpx.Client:
    return make_client(f"http://{HOST}:{listener.getsockname()[1]}")


def test_metrics_and_nothing_else(registry: CollectorRegistry, listener: socket.socket) -> None:
    """If it fails, Prometheus finds no metrics, or finds them under any path that someone asks for."""
    with serving_metrics(listener, registry), _client(listener) as client:
        found = client.get("/metrics")
        assert "answer 42.0" in found.text
        assert found.headers["content-type"].startswith("text/plain")
        assert client.get("/metrics?name[]=nothing").text == ""
        for path in ("/", "/favicon.ico", "/project/health", "/metrics/x"):
            assert client.get(path).status_code == httpx.codes.NOT_FOUND
        assert client.post("/metrics").status_code == httpx.codes.METHOD_NOT_ALLOWED


def test_slow_scrapers_hold_nobody_up(
    registry: CollectorRegistry, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it fails, one scraper that hangs blinds all others, or keeps its thread for ever."""
    monkeypatch.setattr(metrics_server, "SCRAPER_TIMEOUT_S", 0.3)
    with serving_metrics(listener, registry), _client(listener) as client, ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(20)]
        slow[0].sendall(b"GET /metrics HTTP/1.1\r\n")
        assert "answer 42.0" in client.get("/metrics").text
        for connection in slow:
            connection.settimeout(20)
            assert connection.recv(1) == b""


def test_it_ends_with_its_context(registry: CollectorRegistry, listener: socket.socket) -> None:
    """If it fails, the port stays open, or open scrapes keep the process from ending."""
    address = listener.getsockname()
    with serving_metrics(listener, registry), socket.create_connection(address) as idle:
        idle.sendall(b"GET ")
        wait_until(lambda: _accepts(address))
    assert not _accepts(address)


def test_metrics_that_fail_are_said_without_their_text(
    listener: socket.socket, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """If it fails, a fault in a metric shows as a scrape that was broken off, or shows its text to anyone."""
    caplog.set_level(logging.INFO)
    registry = CollectorRegistry()
    registry.register(Broken())
    with serving_metrics(listener, registry), _client(listener) as client:
        answer = client.get("/metrics")
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert answer.text == ""
    assert "the metrics could not be collected" in caplog.text
    assert capfd.readouterr().err == ""


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
