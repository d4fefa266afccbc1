"""Several workers behind one socket: they share the load, one set of metrics, and one end."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import ServerProcess, make_client, samples, wait_until
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERED = 'http_requests_total{handler="/project/predict",method="POST",status="200"}'
COMPUTED = 'mlapi_texts_total{source="engine"}'
CLIENTS, REQUESTS, TEXTS = 8, 12, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the service puts its temporary files."""
    made = tmp_path / "temporary"
    made.mkdir()
    return made


@pytest.fixture
def server(tiny_model: Path, folder: Path) -> Iterator[ServerProcess]:
    """Two running workers."""
    environment = {"TMPDIR": str(folder), "MLAPI_LOG_FORMAT": "text"}
    with ServerProcess(tiny_model, "--workers", "2", environment=environment) as running:
        wait_until(lambda: running.log.count("ready: model") == 2)
        yield running


def test_workers_share_load_and_metrics(server: ServerProcess) -> None:
    """If it fails, requests are lost or counted wrongly as soon as there are two workers."""
    _load(server, "shared")
    requests = CLIENTS * REQUESTS
    wait_until(lambda: _metrics(server).get(ANSWERED) == requests)
    for _ in range(8):  # each on a connection of its own, so from one worker or the other
        metrics = _metrics(server)
        assert metrics[ANSWERED] == requests
        assert metrics[COMPUTED] == requests * TEXTS
        assert metrics["mlapi_batch_texts_sum"] == requests * TEXTS
        assert metrics["mlapi_engine_threads"] >= 1
        assert sum(name.startswith("mlapi_model{") for name in metrics) == 1
    assert server.stop() == 0


def test_a_killed_worker_is_replaced(server: ServerProcess, folder: Path) -> None:
    """If it fails, a lost worker stays lost, or takes its counts along, or leaves its files for ever."""
    _load(server, "before")
    requests = CLIENTS * REQUESTS
    wait_until(lambda: _metrics(server).get(ANSWERED) == requests)
    for round_ in range(2):
        victim = _workers(server)[-1]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(_workers(server)) == 3 + round_)  # noqa: B023 - used within the round
        wait_until(lambda: server.log.count("ready: model") == 3 + round_)  # noqa: B023 - as above
        assert f"worker {victim} ended with status -9" in server.log
        (directory,) = folder.glob("mlapi-metrics-*")
        assert list(directory.glob(f"*_{victim}.db")) == []
        assert _metrics(server)[ANSWERED] == requests
    _load(server, "after")
    wait_until(lambda: _metrics(server).get(ANSWERED) == 2 * requests)
    assert _metrics(server)[COMPUTED] == 2 * requests * TEXTS
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(server: ServerProcess, folder: Path, number: signal.Signals) -> None:
    """If it fails, stopping the service leaves workers or files behind."""
    workers = _workers(server)
    assert len(workers) == 2
    assert server.stop(number) == 0
    assert not any(_lives(worker) for worker in workers)
    assert list(folder.iterdir()) == []
    assert "Traceback" not in server.log


def test_an_unfit_model_ends_everything(tmp_path: Path, folder: Path) -> None:
    """If it fails, workers that can never serve are started again and again."""
    model = make_tiny_model(tmp_path / "model").path
    graph = model / "onnx" / "onnx-fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    environment = {"TMPDIR": str(folder), "MLAPI_LOG_FORMAT": "text"}
    with ServerProcess(model, "--workers", "2", environment=environment, wait=False) as server:
        assert server.wait() == 3
        assert not any(_lives(worker) for worker in _workers(server))
        assert "a worker cannot serve this model; stopping" in server.log
        assert "Traceback" not in server.log
    assert list(folder.iterdir()) == []


def _load(server: ServerProcess, name: str) -> None:
    """Send many requests on several connections at once, each with texts of its own."""

    def one_client(client_number: int) -> None:
        with make_client(str(server.client.base_url)) as client:
            for request in range(REQUESTS):
                texts = [f"{name} {client_number} {request} {text}" for text in range(TEXTS)]
                response = client.post("/predict", json={"text": texts})
                assert response.status_code == 200
                assert len(response.json()["predictions"]) == TEXTS

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one_client, range(CLIENTS)))


def _metrics(server: ServerProcess) -> dict[str, float]:
    with make_client(server.root) as client:
        return samples(client.get("/metrics").text)


def _workers(server: ServerProcess) -> list[int]:
    """Return the process ids of all workers that were ever started, in order."""
    return [int(pid) for pid in re.findall(r"worker (\d+) started", server.log)]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
